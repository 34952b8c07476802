"""Decoded images of the published splits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from potstill.schema.account import Account


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
    """A dataset as it was published, understood and decoded.

    Attributes:
        splits: the published splits: ``train``, and perhaps ``validation`` and ``test``.
        account: what was found, and how it was understood; it has the class names in the order of the labels.
        may_be_kept: whether a decoded copy may be read in its place; see :class:`potstill.data.found.Encoded`.
    """

    splits: Mapping[str, Split]
    account: Account
    may_be_kept: bool = True

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each class, in the order of the labels."""
        return self.account.class_names
