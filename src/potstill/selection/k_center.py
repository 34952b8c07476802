"""K-center: images such that none is far from all of them."""

from __future__ import annotations

import torch
from torch import Tensor

from potstill.selection.ranking import first_smallest


def k_center(features: Tensor, count: int) -> Tensor:
    """Begin with the image that is closest to the mean; then take, again and again, the farthest from all taken.

    Farthest-first traversal (Gonzalez, 1985) as Sener and Savarese use it, "Active Learning for Convolutional Neural
    Networks: A Core-Set Approach", ICLR 2018: the largest distance is at most twice the smallest possible. Of equally
    far ones the first is taken.

    Args:
        features: (n, D) of one class.
        count: at most n.

    Returns:
        int64 (count,): different positions, in the order of choice.
    """
    features = features.double()
    from_mean = (features - features.mean(0)).square().sum(1)
    scale = from_mean.max().item()
    chosen = [first_smallest(from_mean, scale)]
    nearest = torch.full((len(features),), torch.inf, dtype=torch.float64)
    while len(chosen) < count:
        nearest = torch.minimum(nearest, (features - features[chosen[-1]]).square().sum(1))
        nearest[chosen[-1]] = -torch.inf  # also where images are equal, none is taken twice
        chosen.append(first_smallest(-nearest, scale))
    return torch.tensor(chosen, dtype=torch.int64)
