"""From what was understood to decoded images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from potstill.data.arrays import scale_splits
from potstill.data.choices import Choices
from potstill.data.decode import decode_splits
from potstill.data.found import Arrays, Encoded, Part
from potstill.data.pixels import Pictures
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
        image_size: the side in pixels, as in :func:`potstill.data.decode.decode_splits`.
        channels: 1 or 3, as in :func:`potstill.data.decode.decode_splits`.

    Raises:
        UserError: the source cannot be read, or its contents cannot be understood.
    """
    understood = understand(source.find(choices), choices)
    unstamped: set[Path] = set()
    pictures = _pictures(understood.parts, image_size, channels, unstamped)
    for name, images in pictures.splits.items():
        if len(images) != (count := len(understood.labels[name])):
            raise UserError(
                f"{source.name}, split {name}: {len(images)} images could be read for {count} labels",
                "restore the files",
            )
    splits = {
        name: Split(images, torch.from_numpy(understood.labels[name])) for name, images in pictures.splits.items()
    }
    return RawDataset(splits, _account(understood, pictures), may_be_kept=not unstamped)


def _account(understood: Understood, pictures: Pictures) -> Account:
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
        pixels=pictures.pixels,
        left_out=understood.left_out,
        remarks=(*understood.remarks, *pictures.remarks),
    )


def _pictures(
    splits: Mapping[str, tuple[Part, ...]], image_size: int | None, channels: int | None, unstamped: set[Path]
) -> Pictures:
    """The images of all splits: what depends on all of them is decided for all of them.

    Folders of files that no signature stamps are added to ``unstamped``.
    """
    arrays = {
        split: [part.images for part in parts if isinstance(part.images, Arrays)] for split, parts in splits.items()
    }
    if any(arrays.values()):
        return scale_splits(arrays, image_size=image_size)
    encoded = {
        split: chain.from_iterable(_noted(part.images, unstamped) for part in parts if isinstance(part.images, Encoded))
        for split, parts in splits.items()
    }
    return decode_splits(encoded, image_size=image_size, channels=channels)


def _noted(images: Encoded, unstamped: set[Path]) -> Iterator[tuple[bytes | Path, str]]:
    """The images; the folders of those that no signature stamps are noted."""
    for content, name in images.read():
        if isinstance(content, Path) and not images.stamped:
            unstamped.add(content.parent)
        yield content, name
