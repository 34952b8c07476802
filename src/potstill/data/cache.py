"""A cache of decoded images on disk, so that each dataset is decoded once."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file

from potstill.data.sources.base import RawDataset, Source, Split
from potstill.runtime.errors import UserError
from potstill.runtime.files import sha256, staged
from potstill.runtime.safetensors_io import UNREADABLE, read_safetensors

FORMAT = "potstill.decoded/1"


def read_cached(source: Source, folder: Path | None, image_size: int | None, channels: int | None) -> RawDataset:
    """Read a source, from its decoded copy in ``folder`` if there is an intact one.

    A copy is found by the source's signature and the options. A source that has changed, or whose copy is damaged, is
    decoded again. A copy that cannot be written is no error: the user asked for images, not for a cache.

    Args:
        source: where the images come from.
        folder: where decoded copies are kept; None keeps none.
        image_size: as in :meth:`potstill.data.sources.base.Source.read`.
        channels: as in :meth:`potstill.data.sources.base.Source.read`.

    Raises:
        UserError: the source cannot be read.
    """
    signature = source.signature() if folder is not None else None
    if folder is None or signature is None:
        return source.read(image_size, channels)
    key = sha256(json.dumps([FORMAT, signature, image_size, channels], sort_keys=True).encode())
    path = folder / f"{source.name.replace('/', '--')}-{key[:16]}.safetensors"
    if (cached := _load(path)) is not None:
        return cached
    raw = source.read(image_size, channels)
    with contextlib.suppress(UserError, SafetensorError):
        _save(raw, path)
    return raw


def _load(path: Path) -> RawDataset | None:
    """The dataset in a file, or None if the file is absent or differs from what was written."""
    try:
        tensors, metadata = read_safetensors(path)
        digests = json.loads(metadata["digests"])
        raw = RawDataset(
            splits={name: Split(tensors[f"{name}.images"], tensors[f"{name}.labels"]) for name in digests},
            class_names=tuple(json.loads(metadata["class_names"])),
        )
    except (*UNREADABLE, KeyError, TypeError, ValueError):
        return None
    return raw if all(split.digest == digests[name] for name, split in raw.splits.items()) else None


def _save(raw: RawDataset, path: Path) -> None:
    """Write the copy so that it is whole or absent."""
    tensors = {f"{name}.images": split.images for name, split in raw.splits.items()}
    tensors |= {f"{name}.labels": split.labels for name, split in raw.splits.items()}
    metadata = {
        "digests": json.dumps({name: split.digest for name, split in raw.splits.items()}),
        "class_names": json.dumps(raw.class_names),
    }
    with staged(path) as unfinished:
        save_file(tensors, unfinished, metadata)
