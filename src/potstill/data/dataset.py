"""A dataset: three splits of labelled images and what they have in common."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from potstill.data.labeled_images import LabeledImages
from potstill.data.sources.base import RawDataset
from potstill.runtime.files import sha256


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """A labelled image dataset in three splits with the same classes, shape and normalisation.

    Attributes:
        name: what it is called in records.
        train: what is distilled.
        validation: held out of training; chooses checkpoints. Empty where every class has a single image or none
            was asked for.
        test: read once, for the figures that are reported.
        flips: whether a mirrored image keeps its class.
        fingerprint: SHA-256 over pixels, labels, class names and split; the same however the images were encoded.
        spec: what ``load_dataset`` was asked for, so that settings can ask for it again; empty where it was not loaded.
        image_size: likewise.
    """

    name: str
    train: LabeledImages
    validation: LabeledImages
    test: LabeledImages
    flips: bool
    fingerprint: str
    spec: str = ""
    image_size: int | None = None

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
        """Per channel, of pixels scaled to [0, 1]."""
        return self.train.mean

    @property
    def std(self) -> tuple[float, ...]:
        """Per channel, of pixels scaled to [0, 1]."""
        return self.train.std

    def to(self, device: torch.device | str) -> ImageDataset:
        """The same dataset on ``device``."""
        return replace(
            self, train=self.train.to(device), validation=self.validation.to(device), test=self.test.to(device)
        )

    def normalised_by(self, mean: tuple[float, ...], std: tuple[float, ...]) -> ImageDataset:
        """The same images, without whitening, with another mean and standard deviation of each channel.

        Where the number of channels differs it is left as it is.
        """
        if len(mean) != self.shape[0]:
            return self
        train, validation, test = (
            replace(part, mean=mean, std=std, whitening=None) for part in (self.train, self.validation, self.test)
        )
        return replace(self, train=train, validation=validation, test=test)


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, of pixels scaled to [0, 1].

    A channel of one constant value gets the standard deviation 1, so that normalising it stays finite.

    Args:
        images: uint8 (N, C, H, W).
    """
    counts = torch.stack([torch.bincount(channel.flatten(), minlength=256) for channel in images.unbind(1)]).double()
    values = torch.arange(256, dtype=torch.float64) / 255
    share = counts / counts.sum(1, keepdim=True)
    mean = share @ values
    std = (share @ values.square() - mean.square()).clamp(min=0).sqrt()
    std[(counts > 0).sum(1) == 1] = 1.0
    return tuple(mean.tolist()), tuple(std.tolist())


def fingerprint(raw: RawDataset, held_out: Mapping[str, Tensor]) -> str:
    """SHA-256 that identifies a dataset and the way it was split.

    Args:
        raw: what the source gave.
        held_out: by split, the indices of what was moved there from the training split.
    """
    parts = {
        "published": {name: split.digest for name, split in raw.splits.items()},
        "held out": {name: sha256(indices.numpy().tobytes()) for name, indices in held_out.items()},
        "class names": raw.class_names,
    }
    return sha256(json.dumps(parts, sort_keys=True).encode())
