"""A cache of decoded images on disk, so that each dataset is decoded once."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file

from potstill.data.choices import Choices
from potstill.data.raw import RawDataset, Split
from potstill.data.reading import read_source
from potstill.data.sources.base import Source
from potstill.runtime.errors import UserError
from potstill.runtime.files import sha256, staged
from potstill.runtime.safetensors_io import SHA256, UNREADABLE, content_sha256, read_safetensors
from potstill.schema.account import Account
from potstill.schema.fields import Fields

FORMAT = "potstill.decoded/4"


def read_cached(
    source: Source, folder: Path | None, choices: Choices, image_size: int | None, channels: int | None
) -> RawDataset:
    """Read a source, from its decoded copy in ``folder`` if there is an intact one.

    A copy is found by the source's signature and the options. A source that has changed, or whose copy is damaged, is
    decoded again. A copy that cannot be written is not an error: the user asked for images, not for a cache.

    Args:
        source: where the images come from.
        folder: where decoded copies are kept; None keeps none.
        choices: as in :func:`potstill.data.reading.read_source`.
        image_size: likewise.
        channels: likewise.

    Raises:
        UserError: the source cannot be read or understood.
    """
    signature = source.signature() if folder is not None else None
    if folder is None or signature is None:
        return read_source(source, choices, image_size, channels)
    key = sha256(json.dumps([FORMAT, signature, asdict(choices), image_size, channels], sort_keys=True).encode())
    path = folder / f"{source.name.replace('/', '--')}-{key[:16]}.safetensors"
    if (cached := _load(path)) is not None:
        return cached
    raw = read_source(source, choices, image_size, channels)
    if raw.may_be_kept:
        with contextlib.suppress(UserError, SafetensorError):
            _save(raw, path)
    return raw


def _load(path: Path) -> RawDataset | None:
    """The dataset in a file, or None if the file is absent or differs from what was written."""
    try:
        tensors, metadata = read_safetensors(path)
        if metadata.pop(SHA256, None) != content_sha256(tensors, metadata):
            return None
        fields = Fields.of_metadata(path, metadata)
        names = fields.value("splits", list[str])
        return RawDataset(
            splits={name: Split(tensors[f"{name}.images"], tensors[f"{name}.labels"]) for name in names},
            account=Account.from_json(fields.part("account")),
        )
    except (*UNREADABLE, UserError, KeyError):
        return None


def _save(raw: RawDataset, path: Path) -> None:
    """Write the copy so that it is whole or absent."""
    tensors = {f"{name}.images": split.images for name, split in raw.splits.items()}
    tensors |= {f"{name}.labels": split.labels for name, split in raw.splits.items()}
    metadata = {"splits": json.dumps([*raw.splits]), "account": json.dumps(raw.account.to_json())}
    with staged(path) as unfinished:
        save_file(tensors, unfinished, metadata | {SHA256: content_sha256(tensors, metadata)})
