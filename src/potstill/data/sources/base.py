"""What all sources have in common: what they are asked for, and the decoded images that they return."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from potstill.data.catalogue import CatalogueEntry
from potstill.runtime.errors import UserError

SPLIT_ALIASES: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True, eq=False)
class Split:
    """Decoded images of one published split: uint8 (N, C, H, W) and int64 (N,), on the CPU."""

    images: Tensor
    labels: Tensor

    def take(self, indices: Tensor) -> Split:
        """The images at ``indices`` (int64 (n,)), in that order."""
        return Split(self.images[indices], self.labels[indices])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of shape, pixels and labels."""
        digest = hashlib.sha256(repr(tuple(self.images.shape)).encode())
        digest.update(self.images.contiguous().numpy().data)
        digest.update(self.labels.contiguous().numpy().data)
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class RawDataset:
    """The output of a source.

    Attributes:
        splits: the published splits: ``train``, and perhaps ``validation`` and ``test``.
        class_names: the name of each class, in the order of the labels.
    """

    splits: Mapping[str, Split]
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class Request:
    """A dataset that was asked for, before its source is known.

    Attributes:
        spec: as the user wrote it, such as ``hf:OWNER/NAME`` or ``photos/cats``.
        entry: its entry of the catalogue, if ``spec`` is a name of the catalogue.
        path: ``spec`` as a path, or the local copy of a catalogue dataset; None if there is no local copy. The path
            need not exist.
    """

    spec: str
    entry: CatalogueEntry | None
    path: Path | None

    @property
    def name(self) -> str:
        """What the dataset is called in records: by the catalogue, or after its folder."""
        if self.entry is not None:
            return self.entry.name
        return self.path.resolve().name if self.path is not None else self.spec

    @property
    def folder(self) -> Path | None:
        """The path, if it is an existing folder."""
        return self.path if self.path is not None and self.path.is_dir() else None


class Source(Protocol):
    """A place from which images are read."""

    @property
    def name(self) -> str:
        """What the dataset is called in records."""
        ...

    @classmethod
    def recognise(cls, request: Request) -> Self | None:
        """The source of the dataset that is requested, or None if it is not of this kind.

        Raises:
            UserError: it is of this kind, but malformed or absent.
        """
        ...

    def signature(self) -> Any:
        """JSON values that change if the images may have changed; None if decoded copies must not be kept."""
        ...

    def read(self, image_size: int | None, channels: int | None) -> RawDataset:
        """Decode every image.

        Args:
            image_size: the side in pixels, as in :func:`potstill.data.decode.decode_images`.
            channels: 1 or 3, as in :func:`potstill.data.decode.decode_images`.

        Raises:
            UserError: the source is damaged or inconsistent.
        """
        ...


def split_role(published: str, chosen: Mapping[str, str]) -> str | None:
    """Which of our splits a published split is: ``train``, ``validation``, ``test`` or none of them.

    Args:
        published: its name, such as ``"valid"``.
        chosen: for each of our splits the published one to take, if the names alone would mislead; otherwise empty.
    """
    usual = SPLIT_ALIASES.get(published.lower())
    if not chosen:
        return usual
    return next((role for role, name in chosen.items() if name == usual), None)


def stamps(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Name, size in bytes and modification time in nanoseconds of each file: a cheap check for changes."""
    return [(str(path.absolute()), (status := path.stat()).st_size, status.st_mtime_ns) for path in files]


def class_labels(values: object, where: str) -> Tensor:
    """Labels as int64 (N,).

    Args:
        values: integers (N,) or (N, 1), in anything that NumPy converts to an array.
        where: their name in errors.

    Raises:
        UserError: the labels are not one integer per image, or some are negative.
    """
    labels = np.asarray(values)
    if labels.ndim == 2 and labels.shape[1] == 1:  # MedMNIST stores a column
        labels = labels[:, 0]
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise UserError(
            f"labels of {where} are not integers ({labels.dtype}, shape {labels.shape})",
            "store one class index per image, counted from 0",
        )
    if len(labels) and labels.min() < 0:
        raise UserError(
            f"label {labels.min()} of image {int(labels.argmin())} in {where} is negative",
            "number the classes from 0 and remove unlabelled images",
        )
    return torch.from_numpy(labels.astype(np.int64))


def numbered_classes(splits: Mapping[str, Split]) -> tuple[str, ...]:
    """Names for classes without names: their numbers, up to the highest label of any split."""
    highest = max((int(split.labels.max()) for split in splits.values() if len(split.labels)), default=-1)
    return tuple(str(label) for label in range(highest + 1))


def existing(path: Path) -> Path:
    """The path itself.

    Raises:
        UserError: it does not exist.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist", "check the path")
    return path


def first_line(error: Exception) -> str:
    """The message of another library's error, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
