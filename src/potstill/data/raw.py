"""Decoded images of the published splits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from potstill.data.images_on_disk import ImagesOnDisk
from potstill.schema.account import Account
from potstill.schema.shapes import bytes_of


@dataclass(frozen=True, eq=False)
class Split:
    """Decoded images of one published split: uint8 (N, C, H, W), in memory or on disk, and int64 (N,), on the CPU.

    Vectors are float32 (N, D, 1, 1), in memory.
    """

    images: Tensor | ImagesOnDisk
    labels: Tensor

    @property
    def holds_vectors(self) -> bool:
        """Whether these are vectors rather than images."""
        return isinstance(self.images, Tensor) and self.images.is_floating_point()

    def take(self, indices: Tensor) -> Split:
        """The images at ``indices`` (int64 (n,)), in that order."""
        return Split(self.images[indices], self.labels[indices])

    def blocks(self) -> Iterable[Tensor]:
        """All images in order: uint8 (n, C, H, W) each."""
        return (self.images,) if isinstance(self.images, Tensor) else self.images.blocks()

    @property
    def digest(self) -> str:
        """SHA-256 of shape, pixels and labels."""
        digest = hashlib.sha256(repr(tuple(self.images.shape)).encode())
        for block in self.blocks():
            digest.update(block.contiguous().numpy().data)
        digest.update(self.labels.contiguous().numpy().data)
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class RawDataset:
    """A dataset as it was published, understood and decoded.

    Attributes:
        splits: the published splits: ``train``, and perhaps ``validation`` and ``test``.
        account: what was found, and how it was understood; it has the class names in the order of the labels.
        may_be_kept: whether a decoded copy may be read in its place; see :class:`potstill.data.found.Encoded`.
        digests: those of the splits, of which they are known.
    """

    splits: Mapping[str, Split]
    account: Account
    may_be_kept: bool = True
    digests: Mapping[str, str] = field(default_factory=dict)

    def digest(self, name: str) -> str:
        """The digest of a split."""
        return self.digests.get(name) or self.splits[name].digest

    @property
    def is_in_memory(self) -> bool:
        """Whether the images are in memory; otherwise they are read when they are asked for."""
        return all(isinstance(split.images, Tensor) for split in self.splits.values())

    @property
    def nbytes(self) -> int:
        """The bytes of all images."""
        return sum(len(split.labels) * bytes_of(split.images.shape[1:]) for split in self.splits.values())

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each class, in the order of the labels."""
        return self.account.class_names
