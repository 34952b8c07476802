"""Herding and k-center: images that are chosen one after the other by where their features lie.

Both go through all features for each image that they choose, in float32; what decides is computed in float64. Ties go
to the first image, independently of rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor

from potstill.runtime.progress import Pace, Progress, silent
from potstill.selection.nearest import Nearest
from potstill.selection.rows import CentredRows

TOLERANCE = 1e-12
"""Values that differ by less than this share of what they are computed from are equal."""


def herding(features: Tensor, count: int, *, progress: Progress = silent) -> Tensor:
    """Repeatedly choose the image that brings the mean of the chosen images closest to the mean of all.

    Welling, "Herding Dynamical Weights to Learn", ICML 2009; in this form Rebuffi et al., "iCaRL", CVPR 2017,
    algorithm 4. Ties go to the first image.

    Args:
        features: features (n, D) of the images of one class, of any floating type.
        count: number of images to choose, at most n.
        progress: told how far it is, now and then.

    Returns:
        int64 (count,): distinct positions, in the order of choice.
    """
    rows, telling = CentredRows(features), Telling("herding", count, progress)
    total = torch.zeros(features.shape[1], dtype=torch.float64)  # of the chosen, less the mean of all
    chosen: list[int] = []
    for number in range(1, count + 1):
        # The part of || mean - (total + f) / number ||² that depends on f, up to a factor, with the mean at 0.
        near, scales = rows.squares + 2 * rows.products(total), rows.scales(rows.squares + total.square().sum())
        slack = 2 * rows.error(rows.squares, total) + TOLERANCE * scales
        near[chosen] = torch.inf
        close = (near - slack <= (near + slack).min()).nonzero().flatten()
        apart = torch.cat([rows.squares[few] + 2 * (rows.centred(few) @ total) for few in close.split(rows.block)])
        place = int(close[first_smallest(apart, scales[close])])
        total += rows.centred(place)
        chosen.append(place)
        telling.chosen(number)
    return torch.tensor(chosen, dtype=torch.int64)


def k_center(features: Tensor, count: int, *, progress: Progress = silent) -> Tensor:
    """Choose the image closest to the mean, then repeatedly the one farthest from all chosen images.

    Farthest-first traversal (Gonzalez, 1985) as Sener and Savarese use it, "Active Learning for Convolutional Neural
    Networks: A Core-Set Approach", ICLR 2018: the largest distance is at most twice the smallest possible. Ties go
    to the first image.

    Args:
        features: features (n, D) of the images of one class, of any floating type.
        count: number of images to choose, at most n.
        progress: told how far it is, now and then.

    Returns:
        int64 (count,): distinct positions, in the order of choice.
    """
    rows, telling = CentredRows(features), Telling("k-center", count, progress)
    chosen = [first_smallest(rows.squares, rows.scales(rows.squares))]
    nearest = Nearest(rows)
    while len(chosen) < count:
        nearest.add(chosen[-1])
        apart = -nearest.squares
        apart[chosen] = torch.inf  # never choose an image twice, even if images are equal
        chosen.append(first_smallest(apart, rows.scales(nearest.squares)))
        telling.chosen(len(chosen))
    return torch.tensor(chosen, dtype=torch.int64)


def first_smallest(values: Tensor, scales: Tensor) -> int:
    """The first position of the smallest value, where values that rounding may have told apart are equal.

    Args:
        values: (n,).
        scales: (n,), the size of what each is computed from: they are equal to within ``TOLERANCE`` of it.
    """
    best = int(values.argmin())
    return int((values <= values[best] + TOLERANCE * scales[best]).nonzero()[0])


class Telling:
    """Tells how many images are chosen, now and then.

    Args:
        name: of the rule.
        count: how many will be chosen.
        progress: told of it.
    """

    def __init__(self, name: str, count: int, progress: Progress) -> None:
        self._name, self._count, self._progress, self._pace = name, count, progress, Pace()

    def chosen(self, number: int) -> None:
        """Take note of how many are."""
        if self._pace.due():
            left = self._pace.left(number, self._count)
            self._progress(f"{self._name}: {number:,} of {self._count:,} chosen, {left}")
