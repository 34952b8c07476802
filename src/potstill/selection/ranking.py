"""Ranking images by a value: the hardest, the nearest; of equals the first, whatever the machine's rounding."""

from __future__ import annotations

from torch import Tensor

TOLERANCE = 1e-10


def hardest(scores: Tensor, count: int) -> Tensor:
    """int64 (count,): the positions of the highest of scores (n,), from the highest down; of equals the first."""
    return scores.argsort(descending=True, stable=True)[:count]


def first_smallest(values: Tensor, scale: float) -> int:
    """The first position of values (n,) that are as small as the smallest, to ten digits of ``scale``."""
    return int((values <= values.min() + TOLERANCE * scale).nonzero()[0])


def nearest_to_mean(features: Tensor, count: int) -> Tensor:
    """int64 (count,): the positions nearest to the mean of features (n, D), from the nearest on; of equals the first.

    Some programs call this herding, which begins with the same image and then looks at the mean of what is chosen.
    """
    features = features.double()
    return hardest(-(features - features.mean(0)).square().sum(1), count)
