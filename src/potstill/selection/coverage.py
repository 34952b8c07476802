"""Choices by difficulty that cover it: a class's easy, moderate and hard images, not its hardest alone."""

from __future__ import annotations

import torch
from torch import Tensor

from potstill.selection.rows import CentredRows

STRATA = 50
"""The number of equally wide ranges of difficulty."""

CUT = 0.3
"""The share of a class's images that is left out as too hard."""


def stratified(difficulty: Tensor, count: int, generator: torch.Generator, *, cut: float = CUT) -> Tensor:
    """Leave out the hardest images, and draw evenly from ranges of the difficulty of the others.

    Zheng et al., "Coverage-centric Coreset Selection for High Pruning Rates", ICLR 2023 (arXiv:2210.15809), algorithm
    1: the smallest ranges come first, and what they cannot fill is left to the larger ones.

    Args:
        difficulty: (n,), of the images of one class; larger values are harder.
        count: number of images to choose, at most n.
        generator: of the random draws.
        cut: share of the images that is left out as too hard, less if fewer than ``count`` would remain.

    Returns:
        int64 (count,): distinct positions, ascending.
    """
    order = difficulty.argsort(stable=True)
    if not count:
        return order[:0]
    kept = order[: max(len(order) - int(cut * len(order)), count)]
    values = difficulty[kept].double()
    low, high = values.min(), values.max()
    width = (high - low) / STRATA
    range_of = ((values - low) / width).long().clamp(max=STRATA - 1) if width > 0 else torch.zeros_like(kept)
    groups = sorted((kept[range_of == number] for number in range_of.unique().tolist()), key=len)
    chosen, left = [], count
    for number, group in enumerate(groups):
        drawn = min(len(group), left // (len(groups) - number))
        chosen.append(group[torch.randperm(len(group), generator=generator)[:drawn]])
        left -= drawn
    return torch.cat(chosen).sort().values


def moderate(features: Tensor, count: int) -> Tensor:
    """Choose the images whose distance to the mean of their class is nearest to the median distance.

    Xia et al., "Moderate Coreset: A Universal Method of Data Selection for Real-world Data-efficient Deep Learning",
    ICLR 2023. Ties go to the first image.

    Args:
        features: features (n, D) of the images of one class.
        count: number of images to choose, at most n.

    Returns:
        int64 (count,): distinct positions, nearest to the median first.
    """
    apart = CentredRows(features).squares.sqrt()
    middle = apart.sort().values[[(len(apart) - 1) // 2, len(apart) // 2]].mean()
    return (apart - middle).abs().argsort(stable=True)[:count]
