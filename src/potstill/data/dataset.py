"""A dataset: three splits of labelled images with the same classes, shape and normalisation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from potstill.data.choices import NO_CHOICES, Choices
from potstill.data.images_on_disk import ImagesOnDisk, value_counts
from potstill.data.labeled_images import LabeledImages
from potstill.data.raw import RawDataset
from potstill.runtime.errors import UserError
from potstill.runtime.files import sha256
from potstill.schema.account import Account
from potstill.schema.manifest import DatasetRecord
from potstill.schema.shapes import shape_in_words

ROWS = 2**14
"""How many vectors are summed at a time."""

LEAST_SPREAD = 1e-15
"""The least standard deviation of vectors; its inverse is the largest: beyond, 32-bit numbers overflow."""

FARTHEST = 1e4
"""How many standard deviations from 0 a mean may be: centred, 32-bit numbers there are still exact to about 0.001."""


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """A labelled dataset in three splits with the same classes, shape and normalisation.

    It holds images, or vectors, each of which is an image of one pixel whose channels are the features.

    Attributes:
        name: its name in records.
        train: what is distilled.
        validation: held out of training, to choose checkpoints and settings. Empty if every class has a single image
            or if none was requested.
        test: used once, for the results that are reported.
        flips: whether a mirrored image keeps its class.
        fingerprint: SHA-256 of pixels, labels, class names and splits; it does not depend on how images were encoded.
        spec: the argument of ``load_dataset``, with which settings load it again; empty if it was not loaded.
        image_size: the argument of ``load_dataset``, likewise.
        choices: the argument of ``load_dataset``, likewise.
        account: what was found and how it was understood; None if it was not loaded.
    """

    name: str
    train: LabeledImages
    validation: LabeledImages
    test: LabeledImages
    flips: bool
    fingerprint: str
    spec: str = ""
    image_size: int | None = None
    choices: Choices = NO_CHOICES
    account: Account | None = None

    def __repr__(self) -> str:
        """One line with the counts and the shape, without the tensors."""
        sizes = ", ".join(f"{len(part):,} {name}" for name, part in self.splits.items())
        return f"ImageDataset({self.name!r}: {sizes} {shape_in_words(self.shape)}, {self.class_count} classes)"

    def __len__(self) -> int:
        """The number of images in all splits."""
        return len(self.train) + len(self.validation) + len(self.test)

    @property
    def splits(self) -> dict[str, LabeledImages]:
        """The three splits by their names, in order."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        return self.train.shape

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each class."""
        return self.train.class_names

    @property
    def class_count(self) -> int:
        """The number of classes."""
        return self.train.class_count

    @property
    def mean(self) -> tuple[float, ...]:
        """The mean of each channel, of pixels scaled to [0, 1]; of vectors, of each feature."""
        return self.train.mean

    @property
    def std(self) -> tuple[float, ...]:
        """The standard deviation of each channel, of pixels scaled to [0, 1]; of vectors, one of all features."""
        return self.train.std

    @property
    def record(self) -> DatasetRecord:
        """The dataset as manifests record it."""
        sizes = {name: part.class_sizes for name, part in self.splits.items()}
        return DatasetRecord(
            name=self.name,
            fingerprint=self.fingerprint,
            shape=self.shape,
            classes=self.class_count,
            train=len(self.train),
            validation=len(self.validation),
            test=len(self.test),
            account=None if self.account is None else self.account.with_sizes(sizes),
        )

    def describe(self) -> str:
        """The dataset in a few lines: what was found, how it was understood, and what was left out."""
        return "\n".join(self.record.lines())

    def to(self, device: torch.device | str) -> ImageDataset:
        """A copy on ``device``."""
        return replace(
            self, train=self.train.to(device), validation=self.validation.to(device), test=self.test.to(device)
        )

    def normalised_by(self, mean: tuple[float, ...], std: tuple[float, ...]) -> ImageDataset:
        """A copy with another mean and standard deviation of each channel, and without whitening.

        If the number of channels differs, the dataset itself.
        """
        if len(mean) != self.shape[0]:
            return self
        train, validation, test = (
            replace(part, mean=mean, std=std, whitening=None) for part in (self.train, self.validation, self.test)
        )
        return replace(self, train=train, validation=validation, test=test)


def channel_statistics(images: Tensor | ImagesOnDisk) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, of pixels scaled to [0, 1].

    A constant channel gets a standard deviation of 1, so that normalised pixels are finite. The features of vectors are
    centred one by one but share one scale, the root of their mean variance, so that distances keep their proportions.

    Args:
        images: uint8 (N, C, H, W), in memory or on disk; or vectors, float32 (N, D, 1, 1).

    Raises:
        UserError: vectors do not vary, or lie too far from 0 for 32-bit numbers.
    """
    if isinstance(images, Tensor) and images.is_floating_point():
        return _vector_statistics(images.flatten(1))
    counts = value_counts(images).double()
    values = torch.arange(256, dtype=torch.float64) / 255
    share = counts / counts.sum(1, keepdim=True)
    mean = share @ values
    std = (share @ values.square() - mean.square()).clamp(min=0).sqrt()
    std[(counts > 0).sum(1) == 1] = 1.0
    return tuple(mean.tolist()), tuple(std.tolist())


def _vector_statistics(vectors: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The mean of each feature and, for each, the root of their mean variance.

    Raises:
        UserError: the vectors do not vary, or lie too far from 0 for 32-bit numbers.
    """
    mean = torch.zeros(vectors.shape[1], dtype=torch.float64)
    for block in vectors.split(ROWS):
        mean += block.double().sum(0)
    mean /= len(vectors)
    farthest = float(mean.abs().max())
    variance = sum((block.double() - mean).square().sum().item() for block in vectors.split(ROWS)) / vectors.numel()
    std = variance**0.5
    if not LEAST_SPREAD <= std <= 1 / LEAST_SPREAD:
        what = "are all the same" if variance == 0 else f"vary by {std:.2g} on average"
        raise UserError(f"the training vectors {what}", "scale them so that they vary by about 1")
    if farthest > FARTHEST * std:
        times = f"{farthest / std:,.0f} times"
        raise UserError(
            f"the training vectors lie {times} as far from 0 as they vary, too far for 32-bit numbers",
            "subtract the mean of each feature first",
        )
    return tuple(mean.tolist()), (std,) * vectors.shape[1]


def fingerprint(raw: RawDataset, held_out: Mapping[str, Tensor]) -> str:
    """The SHA-256 that identifies a dataset and its splits.

    Args:
        raw: the output of the source.
        held_out: for each split that was held out, the indices of its images in the published training split.
    """
    parts = {
        "published": {name: raw.digest(name) for name in raw.splits},
        "held out": {name: sha256(indices.numpy().tobytes()) for name, indices in held_out.items()},
        "class names": raw.class_names,
    }
    return sha256(json.dumps(parts, sort_keys=True).encode())
