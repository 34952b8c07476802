"""Greedy selections: images are chosen one by one, each the best given those chosen before."""

from __future__ import annotations

import torch
from torch import Tensor

from potstill.selection.ranking import first_smallest


def herding(features: Tensor, count: int) -> Tensor:
    """Repeatedly choose the image that brings the mean of the chosen images closest to the mean of all.

    Welling, "Herding Dynamical Weights to Learn", ICML 2009; in this form Rebuffi et al., "iCaRL", CVPR 2017,
    algorithm 4. Ties go to the first image.

    Args:
        features: features (n, D) of the images of one class.
        count: number of images to choose, at most n.

    Returns:
        int64 (count,): distinct positions, in the order of choice.
    """
    features = features.double()
    mean, total = features.mean(0), torch.zeros(features.shape[1], dtype=torch.float64)
    squares = features.square().sum(1)
    taken = torch.zeros(len(features), dtype=torch.bool)
    chosen = []
    for number in range(1, count + 1):
        # The part of || mean - (total + f) / number ||² that depends on f, up to a factor.
        wanted = number * mean - total
        apart = (squares - 2 * (features @ wanted)).masked_fill(taken, torch.inf)
        place = first_smallest(apart, squares.max().item())
        taken[place] = True
        total += features[place]
        chosen.append(place)
    return torch.tensor(chosen, dtype=torch.int64)


def k_center(features: Tensor, count: int) -> Tensor:
    """Choose the image closest to the mean, then repeatedly the one farthest from all chosen images.

    Farthest-first traversal (Gonzalez, 1985) as Sener and Savarese use it, "Active Learning for Convolutional Neural
    Networks: A Core-Set Approach", ICLR 2018: the largest distance is at most twice the smallest possible. Ties go
    to the first image.

    Args:
        features: features (n, D) of the images of one class.
        count: number of images to choose, at most n.

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
        nearest[chosen[-1]] = -torch.inf  # never choose an image twice, even if images are equal
        chosen.append(first_smallest(-nearest, scale))
    return torch.tensor(chosen, dtype=torch.int64)
