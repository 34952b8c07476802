"""The hardest images by a score."""

from __future__ import annotations

from torch import Tensor


def hardest(scores: Tensor, count: int) -> Tensor:
    """int64 (count,): the positions of the highest of scores (n,), from the highest down; of equals the first."""
    return scores.argsort(descending=True, stable=True)[:count]
