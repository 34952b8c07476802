"""From what was understood to decoded images, in memory or, where they do not fit, on disk."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from potstill.data.arrays import scale_splits
from potstill.data.choices import Choices
from potstill.data.decode import Named, decode_splits
from potstill.data.decode_onto_disk import Encodings, decode_onto_disk
from potstill.data.decoded_copy import Draft, Shape, read_copy
from potstill.data.found import Arrays, Content, Encoded, Part, VectorArray
from potstill.data.pixels import ScaledSplits
from potstill.data.raster import Raster, read_raster
from potstill.data.raw import RawDataset, Split
from potstill.data.sources.base import Finder
from potstill.data.understanding import Understood, understand
from potstill.data.vector_arrays import join_vectors
from potstill.runtime.errors import UserError
from potstill.runtime.files import check_space
from potstill.runtime.progress import Progress, silent
from potstill.schema.account import Account, SplitAccount

ANOTHER_CACHE = "free some space, name another folder for the cache with XDG_CACHE_HOME, or use smaller images"
"""What to do if a decoded copy cannot be written."""


@dataclass(frozen=True)
class Room:
    """Where decoded images go.

    Attributes:
        in_memory: the most bytes of images that are kept in memory.
        on_disk: makes the path of a file for more of them, within a context after which the file is moved, if the
            function that is passed says so, or deleted; None if there is no place for it.
        progress: callback for progress messages.
    """

    in_memory: float = math.inf
    on_disk: Callable[[Callable[[], bool]], AbstractContextManager[Path]] | None = None
    progress: Progress = silent


def read_source(
    source: Finder, choices: Choices, image_size: int | None, channels: int | None, room: Room = Room()
) -> RawDataset:
    """Find, understand and decode a dataset.

    Args:
        source: where the images come from.
        choices: the user's choices where several readings are possible.
        image_size: the side in pixels, as in :func:`potstill.data.decode.decode_splits`.
        channels: 1 or 3, as in :func:`potstill.data.decode.decode_splits`.
        room: where the images go. Those of files that hold arrays are read into memory in any case, and so are all if
            there is no place on disk.

    Raises:
        UserError: the source cannot be read, or its contents cannot be understood, or there is no room for its images.
    """
    understood = understand(source.find(choices), choices)
    unstamped: set[Path] = set()
    encoded = _encoded(understood.parts, unstamped)
    first = _first_of(encoded, image_size, channels)
    needed = 0 if first is None else sum(images.count for images in encoded.values()) * math.prod(first.shape)
    if first is not None and room.on_disk is not None and needed > room.in_memory:
        with room.on_disk(lambda: not unstamped) as path:
            raw = _read_onto_disk(path, understood, encoded, first, image_size, channels, room.progress)
        return replace(raw, may_be_kept=not unstamped)
    pictures = _pictures(understood.parts, encoded, image_size, channels)
    for name, images in pictures.splits.items():
        if len(images) != (count := len(understood.labels[name])):
            raise UserError(
                f"{source.name}, split {name}: {len(images)} images could be read for {count} labels",
                "restore the files",
            )
    splits = {
        name: Split(images, torch.from_numpy(understood.labels[name])) for name, images in pictures.splits.items()
    }
    account = _account(understood, pictures.pixels, pictures.remarks)
    vectors = any(split.holds_vectors for split in splits.values())
    if vectors:
        account = replace(account, kind="vector")
    return RawDataset(splits, account, may_be_kept=not unstamped and not vectors)


def _account(understood: Understood, pixels: str, remarks: tuple[str, ...]) -> Account:
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
        pixels=pixels,
        left_out=understood.left_out,
        remarks=(*understood.remarks, *remarks),
    )


def _read_onto_disk(
    path: Path,
    understood: Understood,
    encoded: Mapping[str, Encodings],
    first: Raster,
    image_size: int | None,
    channels: int | None,
    progress: Progress,
) -> RawDataset:
    """Decode a dataset into a file from which its images are read when they are asked for.

    Raises:
        UserError: as ``read_source``.
    """
    labels = {name: torch.from_numpy(values) for name, values in understood.labels.items()}

    def begin(shapes: Mapping[str, Shape]) -> Draft:
        check_space(path, "the decoded images need", sum(map(math.prod, shapes.values())), ANOTHER_CACHE)
        return Draft(path, shapes, labels, understood.class_names)

    written = decode_onto_disk(encoded, begin, first, image_size=image_size, channels=channels, progress=progress)
    progress("completing the decoded copy")
    written.draft.finish(_account(understood, written.pixels, written.remarks))
    if (raw := read_copy(path, in_memory=0)) is None:
        raise UserError(f"the decoded copy {path} changed while it was written", "start again")
    return raw


def _encoded(splits: Mapping[str, tuple[Part, ...]], unstamped: set[Path]) -> dict[str, Encodings]:
    """The images of each split that are encoded one by one.

    When they are read, folders of files that no signature stamps are added to ``unstamped``.
    """

    def of(parts: tuple[Part, ...]) -> Encodings:
        images = [part.images for part in parts if isinstance(part.images, Encoded)]
        return Encodings(sum(map(len, images)), lambda: chain.from_iterable(_noted(some, unstamped) for some in images))

    return {split: of(parts) for split, parts in splits.items()}


def _first_of(encoded: Mapping[str, Encodings], image_size: int | None, channels: int | None) -> Raster | None:
    """The first image, which tells how much memory all will take; None if there is none, or it cannot be read."""
    images: Iterable[Named] = chain.from_iterable(images.read() for images in encoded.values())
    for content, where in images:
        try:
            return read_raster(content, where, image_size=image_size, channels=channels)
        except UserError:
            return None
    return None


def _pictures(
    splits: Mapping[str, tuple[Part, ...]],
    encoded: Mapping[str, Encodings],
    image_size: int | None,
    channels: int | None,
) -> ScaledSplits:
    """The images of all splits: what depends on all of them is decided for all of them."""
    arrays = {
        split: [part.images for part in parts if isinstance(part.images, Arrays)] for split, parts in splits.items()
    }
    vectors = {
        split: [part.images for part in parts if isinstance(part.images, VectorArray)]
        for split, parts in splits.items()
    }
    if any(arrays.values()) and any(vectors.values()):
        raise UserError("some of these arrays hold images and others vectors", "store one kind in all of them")
    if any(vectors.values()):
        return join_vectors(vectors, image_size=image_size)
    if any(arrays.values()):
        return scale_splits(arrays, image_size=image_size)
    each = {split: images.read() for split, images in encoded.items()}
    return decode_splits(each, image_size=image_size, channels=channels)


def _noted(images: Encoded, unstamped: set[Path]) -> Iterator[tuple[Content, str]]:
    """The images; the folders of those that no signature stamps are noted."""
    for content, name in images.read():
        if isinstance(content, Path) and not images.stamped:
            unstamped.add(content.parent)
        yield content, name
