"""Choosing within each class by values that are finite; of equals the first, whatever the machine's rounding."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from potstill.data import LabeledImages
from potstill.runtime.errors import UserError

TOLERANCE = 1e-10


def within_classes(real: LabeledImages, pick: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Choose within each class.

    Args:
        real: the images.
        pick: given the indices (n,) of a class's images, on the CPU, and the class's number, returns positions among
            them.

    Returns:
        int64: indices into all images, ordered by class.
    """
    classes = enumerate(index.cpu() for index in real.class_index)
    return torch.cat([members[pick(members, label)] for label, members in classes])


def finite(values: Tensor) -> Tensor:
    """``values`` (N,) or (N, D) as they are, if all are finite.

    Raises:
        UserError: some are not: the first such image is named by its number.
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
    """int64 (count,): the positions of the highest of scores (n,), from the highest down; of equals the first."""
    return scores.argsort(descending=True, stable=True)[:count]


def first_smallest(values: Tensor, scale: float) -> int:
    """The first position of values (n,) that are as small as the smallest, to ten digits of ``scale``."""
    return int((values <= values.min() + TOLERANCE * scale).nonzero()[0])
