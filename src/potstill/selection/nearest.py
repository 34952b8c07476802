"""The most typical images: those nearest to the mean."""

from __future__ import annotations

from torch import Tensor

from potstill.selection.hardest import hardest


def nearest_to_mean(features: Tensor, count: int) -> Tensor:
    """int64 (count,): the positions nearest to the mean of features (n, D), from the nearest on; of equals the first.

    Some programs call this herding, which begins with the same image and then looks at the mean of what is chosen.
    """
    features = features.double()
    return hardest(-(features - features.mean(0)).square().sum(1), count)
