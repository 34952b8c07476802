"""Decoded images kept on disk, so that each set is decoded once."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from potstill.data.sources.base import RawDataset, Source, Split
from potstill.runtime.files import sha256

FORMAT = "potstill.decoded/1"


def read_cached(source: Source, folder: Path | None, image_size: int | None, channels: int | None) -> RawDataset:
    """Read a source, from the decoded copy in ``folder`` where there is a sound one.

    A copy is found by the source's signature and the options, so a changed source is decoded anew; so is one whose
    copy is damaged. A copy that cannot be written is done without: the user asked for images, not for a cache.

    Args:
        source: where the images come from.
        folder: where decoded copies are kept; none to keep none.
        image_size: as :meth:`potstill.data.sources.base.Source.read` takes it.
        channels: likewise.
    """
    signature = source.signature() if folder is not None else None
    if folder is None or signature is None:
        return source.read(image_size, channels)
    key = sha256(json.dumps([FORMAT, signature, image_size, channels], sort_keys=True).encode())
    path = folder / f"{source.name.replace('/', '--')}-{key[:16]}.safetensors"
    if (cached := _load(path)) is not None:
        return cached
    raw = source.read(image_size, channels)
    with contextlib.suppress(OSError, SafetensorError):
        _save(raw, path)
    return raw


def _load(path: Path) -> RawDataset | None:
    """The dataset in a file, or None if that is absent or not what was written."""
    try:
        with safe_open(path, framework="pt") as archive:
            metadata = archive.metadata()
            digests = json.loads(metadata["digests"])
            raw = RawDataset(
                splits={
                    name: Split(archive.get_tensor(f"{name}.images"), archive.get_tensor(f"{name}.labels"))
                    for name in digests
                },
                class_names=tuple(json.loads(metadata["class_names"])),
            )
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None
    return raw if all(split.digest == digests[name] for name, split in raw.splits.items()) else None


def _save(raw: RawDataset, path: Path) -> None:
    """Write through a temporary file, so that the copy is whole or absent."""
    tensors = {f"{name}.images": split.images for name, split in raw.splits.items()}
    tensors |= {f"{name}.labels": split.labels for name, split in raw.splits.items()}
    metadata = {
        "digests": json.dumps({name: split.digest for name, split in raw.splits.items()}),
        "class_names": json.dumps(raw.class_names),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}.") as folder:
        save_file(tensors, Path(folder) / path.name, metadata)
        os.replace(Path(folder) / path.name, path)
