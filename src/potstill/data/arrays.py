"""From a dataset's arrays of any number type to uint8 (N, C, H, W) for each split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from potstill.data.found import Arrays
from potstill.data.pixels import Extent, ScaledSplits, WhiteLevels, judge, measure, to_bytes
from potstill.data.shaping import resize_arrays, richest, with_channels
from potstill.runtime.errors import UserError


def scale_splits(splits: Mapping[str, Sequence[Arrays]], *, image_size: int | None = None) -> ScaledSplits:
    """Convert the images of all splits to bytes.

    Numbers are scaled as :func:`potstill.data.pixels.judge` decides for all of them, unless the layout states what
    white is.

    Args:
        splits: the arrays of each split, in order.
        image_size: as in :func:`potstill.data.decode.decode_splits`.

    Raises:
        UserError: an array does not hold images, or the range of the pixels is unclear.
    """
    extents = {split: [_extent(array) for array in arrays if len(array)] for split, arrays in splits.items()}
    stated = next((array.white for arrays in splits.values() for array in arrays if array.white is not None), None)
    scale = judge(extents) if stated is None else _stated(extents, stated)
    if "bytes" in scale.white and scale.white.get("integers", 255) != 255:
        larger = next(extent.where for of in extents.values() for extent in of if extent.kind == "integers")
        raise UserError(
            f"{larger} holds larger numbers than other arrays of the dataset, which hold bytes",
            "store all of them in the same range, [0, 255]",
        )
    images = {
        split: _joined([_bytes(array, scale, image_size) for array in arrays if len(array)])
        for split, arrays in splits.items()
    }
    return ScaledSplits(images, scale.words)


def _stated(extents: Mapping[str, Sequence[Extent]], white: float) -> WhiteLevels:
    """The scale of a layout that states what white is."""
    everything = [extent for of_split in extents.values() for extent in of_split]
    low, high = min(extent.low for extent in everything), max(extent.high for extent in everything)
    words = f"{low:,g} to {high:,g}, with white at {white:,g} by definition"
    return WhiteLevels({extent.kind: white for extent in everything}, words)


def _extent(array: Arrays) -> Extent:
    shape = array.values.shape
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 2, 3, 4)) or 0 in shape:
        raise UserError(
            f"{array.name} holds {array.values.dtype} {shape}",
            "store images as (N, H, W) or (N, H, W, C) with C from 1 to 4, vectors as floating-point (N, D)",
        )
    return measure(array.values, array.name)


def _bytes(array: Arrays, scale: WhiteLevels, image_size: int | None) -> np.ndarray:
    """An array of images as uint8 (N, C, H, W)."""
    values = array.values[..., None] if array.values.ndim == 3 else array.values
    white = scale.white[measure(values[:1], array.name).kind]
    pixels = np.ascontiguousarray(to_bytes(values, white, array.name).transpose(0, 3, 1, 2))
    return pixels if image_size is None else resize_arrays(pixels, image_size)


def _joined(arrays: Sequence[np.ndarray]) -> Tensor:
    if not arrays:
        return torch.empty(0, 1, 1, 1, dtype=torch.uint8)
    sizes = {array.shape[2:] for array in arrays}
    if len(sizes) > 1:
        (height, width), (other_height, other_width) = sorted(sizes)[:2]
        raise UserError(
            f"images differ in size: some are {width}×{height}, some {other_width}×{other_height}",
            "resize them with `image_size`",
        )
    most = richest(array.shape[1] for array in arrays)
    return torch.from_numpy(np.concatenate([with_channels(array, most) for array in arrays]))
