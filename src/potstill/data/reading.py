"""From what was understood to decoded images."""

from __future__ import annotations

from itertools import chain

import numpy as np
import torch
from torch import Tensor

from potstill.data.choices import Choices
from potstill.data.decode import decode_images, resize_arrays, richest, to_bytes, with_channels
from potstill.data.found import Arrays, Encoded, Part
from potstill.data.raw import RawDataset, Split
from potstill.data.sources.base import Source
from potstill.data.understanding import Understood, understand
from potstill.runtime.errors import UserError
from potstill.schema.account import Account, SplitAccount


def read_source(source: Source, choices: Choices, image_size: int | None, channels: int | None) -> RawDataset:
    """Find, understand and decode a dataset.

    Args:
        source: where the images come from.
        choices: the user's choices where several readings are possible.
        image_size: the side in pixels, as in :func:`potstill.data.decode.decode_images`.
        channels: 1 or 3, as in :func:`potstill.data.decode.decode_images`.

    Raises:
        UserError: the source cannot be read, or its contents cannot be understood.
    """
    understood = understand(source.find(choices), choices)
    splits = {
        name: Split(_pixels(parts, image_size, channels), torch.from_numpy(understood.labels[name]))
        for name, parts in understood.parts.items()
    }
    return RawDataset(splits, _account(understood))


def _account(understood: Understood) -> Account:
    count = len(understood.class_names)
    return Account(
        layout=understood.layout,
        class_names=understood.class_names,
        splits=tuple(
            SplitAccount(
                name=name,
                origin=understood.origin(name),
                class_sizes=tuple(np.bincount(labels, minlength=count).tolist()),
            )
            for name, labels in understood.labels.items()
        ),
        pixels="",
        left_out=understood.left_out,
        remarks=understood.remarks,
    )


def _pixels(parts: tuple[Part, ...], image_size: int | None, channels: int | None) -> Tensor:
    """The images of one split, uint8 (N, C, H, W)."""
    encoded = [part.images for part in parts if isinstance(part.images, Encoded)]
    if len(encoded) == len(parts):
        items = chain.from_iterable(images.read() for images in encoded)
        return decode_images(items, image_size=image_size, channels=channels)
    arrays = [_bytes(part.images, image_size) for part in parts if isinstance(part.images, Arrays)]
    most = richest(images.shape[1] for images in arrays)
    return torch.from_numpy(np.concatenate([with_channels(images, most) for images in arrays]))


def _bytes(images: Arrays, image_size: int | None) -> np.ndarray:
    """An array of images as uint8 (N, C, H, W)."""
    values = images.values[..., None] if images.values.ndim == 3 else images.values
    if values.ndim != 4 or values.shape[3] not in (1, 2, 3, 4):
        raise UserError(
            f"{images.name} has the shape {images.values.shape}",
            "store images as (N, H, W) or (N, H, W, C) with C from 1 to 4",
        )
    white = images.white
    if white is None:
        white = 255 if np.issubdtype(values.dtype, np.floating) and bool((values > 1).any()) else 1
    pixels = np.ascontiguousarray(to_bytes(values, images.name, floats_end_at=white).transpose(0, 3, 1, 2))
    return pixels if image_size is None else resize_arrays(pixels, image_size)
