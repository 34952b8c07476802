"""A cache of decoded images on disk, so that each dataset is decoded once."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path

from potstill.data.choices import Choices
from potstill.data.decoded_copy import FORMAT, read_copy, write_copy
from potstill.data.raw import RawDataset
from potstill.data.reading import ANOTHER_CACHE, Room, read_source
from potstill.data.sources.base import Stamped
from potstill.runtime.bounds import memory_bytes
from potstill.runtime.errors import UserError
from potstill.runtime.files import sha256, staged
from potstill.runtime.progress import Progress, silent

IMAGES_SHARE = 0.25
"""Of the memory, what decoded images may take; those of a larger dataset stay on disk."""


def read_cached(
    source: Stamped,
    folder: Path | None,
    choices: Choices,
    image_size: int | None,
    channels: int | None,
    progress: Progress = silent,
) -> RawDataset:
    """Read a source, from its decoded copy in ``folder`` if there is an intact one.

    A copy is found by the source's signature and the options. A source that has changed, or whose copy is damaged, is
    decoded again. A copy that cannot be written is not an error: the user asked for images, not for a cache. If the
    images take more than ``IMAGES_SHARE`` of the memory, they stay in the copy and are read when they are asked for. A
    copy that is not kept is deleted once it is open.

    Args:
        source: where the images come from.
        folder: where decoded copies are kept; None keeps none.
        choices: as in :func:`potstill.data.reading.read_source`.
        image_size: likewise.
        channels: likewise.
        progress: callback for progress messages.

    Raises:
        UserError: the source cannot be read or understood, or its images fit neither in memory nor on disk.
    """
    in_memory = IMAGES_SHARE * memory_bytes()
    signature = source.signature() if folder is not None else None
    if folder is None or signature is None:
        return read_source(source, choices, image_size, channels, Room(in_memory))
    key = sha256(json.dumps([FORMAT, signature, asdict(choices), image_size, channels], sort_keys=True).encode())
    path = folder / f"{source.name.replace('/', '--')}-{key[:16]}.safetensors"
    if (cached := read_copy(path, in_memory)) is not None:
        return cached

    def on_disk(keep: Callable[[], bool]) -> AbstractContextManager[Path]:
        return staged(path, keep=keep, remedy=ANOTHER_CACHE, elsewhere=ANOTHER_CACHE)

    raw = read_source(source, choices, image_size, channels, Room(in_memory, on_disk, progress))
    if raw.is_in_memory and raw.may_be_kept:
        with contextlib.suppress(UserError), staged(path) as unfinished:
            write_copy(raw, unfinished)
        return raw if raw.nbytes <= in_memory else read_copy(path, in_memory) or raw
    return (read_copy(path, in_memory=0) if raw.may_be_kept else None) or raw  # under its final name, if it has one
