"""Greedy choices: one image after another, the best beside those chosen so far."""

from __future__ import annotations

import torch
from torch import Tensor

from potstill.selection.ranking import first_smallest


def herding(features: Tensor, count: int) -> Tensor:
    """Choose one by one the image that brings the mean of the chosen closest to the mean of all.

    Welling, "Herding Dynamical Weights to Learn", ICML 2009; in this form Rebuffi et al., "iCaRL", CVPR 2017,
    algorithm 4. The first of equally close images is taken.

    Args:
        features: (n, D) of one class.
        count: at most n.

    Returns:
        int64 (count,): distinct positions, in the order of choice.
    """
    features = features.double()
    mean, total = features.mean(0), torch.zeros(features.shape[1], dtype=torch.float64)
    squares = features.square().sum(1)
    taken = torch.zeros(len(features), dtype=torch.bool)
    chosen = []
    for number in range(1, count + 1):
        # || mean - (total + f) / number ||² without its constant: what depends on f alone.
        wanted = number * mean - total
        apart = (squares - 2 * (features @ wanted)).masked_fill(taken, torch.inf)
        place = first_smallest(apart, squares.max().item())
        taken[place] = True
        total += features[place]
        chosen.append(place)
    return torch.tensor(chosen, dtype=torch.int64)


def k_center(features: Tensor, count: int) -> Tensor:
    """Start with the image that is closest to the mean, then always choose the one farthest from all chosen.

    Farthest-first traversal (Gonzalez, 1985) as Sener and Savarese use it, "Active Learning for Convolutional Neural
    Networks: A Core-Set Approach", ICLR 2018: the largest distance is at most twice the smallest possible. The first
    of equally far images is taken.

    Args:
        features: (n, D) of one class.
        count: at most n.

    Returns:
        int64 (count,): distinct positions, in the order of choice.
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
