"""What every source gives: decoded images and labels as they were published."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

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
    """What a source gives: the published splits by name (``train``, and perhaps ``validation``, ``test``)."""

    splits: Mapping[str, Split]
    class_names: tuple[str, ...]


class Source(Protocol):
    """A place that images can be read from."""

    @property
    def name(self) -> str:
        """What the dataset is called in records."""
        ...

    def signature(self) -> Any:
        """JSON values that change when the images may have changed; None where decoded copies are not to be kept."""
        ...

    def read(self, image_size: int | None, channels: int | None) -> RawDataset:
        """Decode every image.

        Args:
            image_size: as :func:`potstill.data.decode.decode_images` takes it.
            channels: likewise.

        Raises:
            UserError: something in the source is damaged or does not fit together.
        """
        ...


def split_role(published: str, chosen: Mapping[str, str]) -> str | None:
    """Which split of ours a published split is: ``train``, ``validation``, ``test`` or none of them.

    Args:
        published: its name, such as ``"valid"``.
        chosen: the published split to take for each of ours, where the names alone would mislead; else empty.
    """
    usual = SPLIT_ALIASES.get(published.lower())
    if not chosen:
        return usual
    return next((role for role, name in chosen.items() if name == usual), None)


def stamps(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Name, size and time of change of each file: what a cheap check for changes can look at."""
    return [(str(path.absolute()), (status := path.stat()).st_size, status.st_mtime_ns) for path in files]


def class_labels(values: object, where: str) -> Tensor:
    """Labels as int64 (N,), from anything that NumPy takes for an array of integers.

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
            "number the classes from 0 and leave unlabelled images out",
        )
    return torch.from_numpy(labels.astype(np.int64))


def numbered_classes(splits: Mapping[str, Split]) -> tuple[str, ...]:
    """Names for classes that have none: their numbers, up to the highest label of any split."""
    highest = max((int(split.labels.max()) for split in splits.values() if len(split.labels)), default=-1)
    return tuple(str(label) for label in range(highest + 1))


def first_line(error: Exception) -> str:
    """What an error of another library says, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
