"""The synthetic set: what a distillation starts from, changes and leaves."""

from potstill.synthetic.set import Replay, SyntheticSet, batch_indices

__all__ = ["Replay", "SyntheticSet", "batch_indices"]
