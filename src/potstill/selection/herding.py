"""Herding: images whose mean stays close to the class's."""

from __future__ import annotations

import torch
from torch import Tensor

from potstill.selection.ranking import first_smallest


def herding(features: Tensor, count: int) -> Tensor:
    """Choose one after another the image with which the mean of the chosen comes closest to the mean of all.

    Welling, "Herding Dynamical Weights to Learn", ICML 2009; in this form Rebuffi et al., "iCaRL", CVPR 2017,
    algorithm 4. Of equally close ones the first is taken.

    Args:
        features: (n, D) of one class.
        count: at most n.

    Returns:
        int64 (count,): different positions, in the order of choice.
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
