"""The synthetic set: what a distillation starts from, changes and leaves."""

from potstill.synthetic.parametrisation import (
    IDENTITY,
    PIXELS,
    POSITIVE,
    SOFTMAX,
    Decoded,
    Parametrisation,
    Transform,
)
from potstill.synthetic.set import Replay, SyntheticSet, batch_indices

__all__ = [
    "IDENTITY",
    "PIXELS",
    "POSITIVE",
    "SOFTMAX",
    "Decoded",
    "Parametrisation",
    "Replay",
    "SyntheticSet",
    "Transform",
    "batch_indices",
]
