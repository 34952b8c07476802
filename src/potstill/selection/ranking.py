"""Choosing within each class by finite values; ties go to the first image, independently of rounding."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from potstill.data import LabeledImages
from potstill.runtime.errors import UserError

TOLERANCE = 1e-10


def within_classes(real: LabeledImages, pick: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Choose images within each class.

    Args:
        real: the images to choose from.
        pick: maps the indices (n,) of the images of a class, on the CPU, and the class number to positions among them.

    Returns:
        int64: indices into all images, ordered by class.
    """
    classes = enumerate(index.cpu() for index in real.class_index)
    return torch.cat([members[pick(members, label)] for label, members in classes])


def finite(values: Tensor) -> Tensor:
    """Return ``values`` (N,) or (N, D) unchanged if all are finite.

    Raises:
        UserError: some are not finite; the message names the first such image.
    """
    wrong = (~values.isfinite()).flatten(1 if values.dim() > 1 else 0)
    rows = (wrong.any(1) if wrong.dim() > 1 else wrong).nonzero().flatten()
    if len(rows):
        raise UserError(
            f"image {int(rows[0])} has features that are not finite ({len(rows)} in all)",
            "train the network with a smaller learning rate, or use --features pixels",
        )
    return values


def hardest(scores: Tensor, count: int) -> Tensor:
    """int64 (count,): the positions of the highest ``scores`` (n,), in descending order; ties go to the first."""
    return scores.argsort(descending=True, stable=True)[:count]


def first_smallest(values: Tensor, scale: float) -> int:
    """The first position whose value equals the minimum of ``values`` (n,) to within 1e-10 of ``scale``."""
    return int((values <= values.min() + TOLERANCE * scale).nonzero()[0])
