"""Herding and k-center: images that are chosen one after the other by where their features lie.

Both go through all features for each image that they choose, in float32; what decides is computed in float64. Ties go
to the first image, independently of rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor

from potstill.runtime.progress import Pace, Progress, silent
from potstill.selection.nearest import Nearest
from potstill.selection.rows import Rows

TOLERANCE = 1e-10
"""Distances that differ by less than this share of the largest are equal."""


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
    rows, telling = Rows(features), _Telling("herding", count, progress)
    total = torch.zeros(features.shape[1], dtype=torch.float64)
    longest = rows.squares.max().item()
    open_squares = rows.squares.clone()  # infinite once an image is taken
    chosen: list[int] = []
    for number in range(1, count + 1):
        # The part of || mean - (total + f) / number ||² that depends on f, up to a factor.
        wanted = number * rows.mean - total
        near = open_squares - 2 * rows.products(wanted)
        slack = 4 * rows.error(torch.tensor(longest).sqrt(), wanted).item() + 2 * TOLERANCE * longest
        close = (near <= near.min() + slack).nonzero().flatten()
        apart = open_squares[close] - 2 * (rows.exact(close) @ wanted)
        place = int(close[first_smallest(apart, longest)])
        open_squares[place] = torch.inf
        total += rows.exact(place)
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
    rows, telling = Rows(features), _Telling("k-center", count, progress)
    from_mean = torch.cat([(rows.exact(block) - rows.mean).square().sum(1) for block in rows.blocks()])
    scale = from_mean.max().item()
    chosen = [first_smallest(from_mean, scale)]
    nearest = Nearest(rows)
    while len(chosen) < count:
        nearest.add(chosen[-1])
        apart = -nearest.squares
        apart[chosen] = torch.inf  # never choose an image twice, even if images are equal
        chosen.append(first_smallest(apart, scale))
        telling.chosen(len(chosen))
    return torch.tensor(chosen, dtype=torch.int64)


def first_smallest(values: Tensor, scale: float) -> int:
    """The first position whose value equals the minimum of ``values`` (n,) to within ``TOLERANCE`` of ``scale``."""
    return int((values <= values.min() + TOLERANCE * scale).nonzero()[0])


class _Telling:
    """Tells how many images are chosen, now and then."""

    def __init__(self, name: str, count: int, progress: Progress) -> None:
        self._name, self._count, self._progress, self._pace = name, count, progress, Pace()

    def chosen(self, number: int) -> None:
        if self._pace.due():
            left = self._pace.left(number, self._count)
            self._progress(f"{self._name}: {number:,} of {self._count:,} chosen, {left}")
