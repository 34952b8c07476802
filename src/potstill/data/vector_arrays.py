"""From a dataset's vectors of any floating type to float32 (N, D, 1, 1) for each split: images of one pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from potstill.data.found import VectorArray
from potstill.data.pixels import ScaledSplits
from potstill.runtime.bounds import check_memory
from potstill.runtime.errors import UserError

ROWS = 2**14
"""How many vectors are converted at a time."""


def join_vectors(splits: Mapping[str, Sequence[VectorArray]], *, image_size: int | None = None) -> ScaledSplits:
    """The vectors of all splits as images of one pixel, whose channels are the features.

    Args:
        splits: the arrays of each split, in order.
        image_size: refused; vectors have no size.

    Raises:
        UserError: an array does not hold vectors, or some of other lengths, or a value is not finite, or they do not
            fit in memory.
    """
    arrays = [array for of_split in splits.values() for array in of_split]
    for array in arrays:
        _check(array, arrays[0])
    if image_size is not None:
        raise UserError(f"{arrays[0].name} holds vectors, which are not resized", "leave `image_size` out")
    check_memory("these vectors", sum(4 * array.values.size for array in arrays), "use fewer of them")
    length = arrays[0].values.shape[1]
    joined = {split: _joined(of_split, length) for split, of_split in splits.items()}
    return ScaledSplits(joined, f"{length:,} in each vector, stored as {arrays[0].values.dtype}")


def _check(array: VectorArray, first: VectorArray) -> None:
    values = array.values
    if values.ndim != 2 or not np.issubdtype(values.dtype, np.floating) or 0 in values.shape:
        raise UserError(
            f"{array.name} holds {values.dtype} {values.shape}, not vectors",
            "store floating-point numbers of shape (N, D)",
        )
    if values.shape[1] != first.values.shape[1]:
        raise UserError(
            f"vectors differ in length: {first.name} has {first.values.shape[1]:,} numbers in each, {array.name} "
            f"{values.shape[1]:,}",
            "store vectors of one length",
        )


def _joined(arrays: Sequence[VectorArray], length: int) -> Tensor:
    """Float32 (N, D, 1, 1)."""
    joined = torch.empty(sum(map(len, arrays)), length, 1, 1)
    target, place = joined.numpy()[:, :, 0, 0], 0
    for array in arrays:
        for first in range(0, len(array), ROWS):
            part = target[place : place + len(array.values[first : first + ROWS])]
            with np.errstate(over="ignore"):  # values beyond float32 become infinite, and are refused
                part[:] = array.values[first : first + ROWS]
            wrong = np.flatnonzero(~np.isfinite(part).all(1))
            if len(wrong):
                raise UserError(
                    f"{array.name}: vector {first + wrong[0]:,}, counted from 0, has values that are not finite",
                    "correct or remove it",
                )
            place += len(part)
    return joined
