"""Images of a dataset larger than memory: they stay in a file, and are read when they are asked for."""

from __future__ import annotations

import contextlib
import math
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from potstill.data.shaping import with_channels
from potstill.runtime.bounds import check_memory, memory_bytes
from potstill.runtime.errors import UserError
from potstill.runtime.reading import cannot_read

BLOCK_BYTES = 2**24
"""How much is read at a time where all images are gone through."""

BYTES_PER_VALUE = 5
"""Of images that are read: a byte, and a float once they are normalised."""

CPU = torch.device("cpu")

Rows = Tensor | slice


@dataclass(frozen=True, eq=False)
class StoredImages:
    """The images of one split in a file, one after the other, with a checksum of each.

    An image is checked whenever it is read. The file is open from the beginning: it may be replaced or deleted. Threads
    and forked processes may read it at once; a copy of this object opens the file again.

    Attributes:
        path: the file; if one of its images is damaged it is deleted, so that it is made again.
        split: the name of the split in it.
        file: the open file, unbuffered.
        begin: where the first image begins, in bytes.
        shape: (N, C, H, W), of one byte each.
        checksums: int64 (N,): the CRC-32 of each image.
        counts: int64 (C, 256): how often each value occurs in each channel.
    """

    path: Path
    split: str
    file: FileIO
    begin: int
    shape: tuple[int, int, int, int]
    checksums: np.ndarray
    counts: Tensor

    @classmethod
    def opened(
        cls,
        path: Path,
        split: str,
        begin: int,
        shape: tuple[int, int, int, int],
        checksums: np.ndarray,
        counts: Tensor,
    ) -> StoredImages:
        """Open the file.

        Raises:
            OSError: it cannot be opened.
        """
        return cls(path, split, FileIO(path), begin, shape, checksums, counts)

    def __reduce__(self) -> tuple[Any, ...]:
        return StoredImages.opened, (self.path, self.split, self.begin, self.shape, self.checksums, self.counts)

    def read(self, row: int, images: np.ndarray) -> None:
        """Read consecutive images.

        Args:
            row: the first.
            images: uint8 (n, C, H, W), filled in place.

        Raises:
            IndexError: there are no such images.
            UserError: the file cannot be read, ends too early, or one of the images has changed.
        """
        if not 0 <= row <= row + len(images) <= self.shape[0]:
            raise IndexError(f"images {row} to {row + len(images)} of {self.shape[0]}")
        content, size = images.reshape(-1).data, images[0].nbytes
        try:
            done = _read_at(self.file, content, self.begin + row * size)
        except OSError as error:
            raise cannot_read(self.path, error) from error
        for number in range(len(images)):
            if done < (number + 1) * size:
                raise self._damaged(f"it ends before image {row + number}")
            if zlib.crc32(content[number * size : (number + 1) * size]) != self.checksums[row + number]:
                raise self._damaged(f"image {row + number} has changed")

    def _damaged(self, what: str) -> UserError:
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(self.file.fileno()), self.path.stat()):  # and not a better one in its place
                self.path.unlink()
        return UserError(
            f"{self.path}, a copy of decoded images, is damaged: {what}", "repeat the command: it is made again"
        )


def _read_at(file: FileIO, content: memoryview, offset: int) -> int:
    """Fill ``content`` from a place in a file, whose own position neither matters nor changes; how much there was."""
    done = 0
    while done < len(content) and (count := os.preadv(file.fileno(), [content[done:]], offset + done)):
        done += count
    return done


@dataclass(frozen=True, eq=False)
class ImagesOnDisk:
    """Some images of a file, in some order: indexing chooses among them, and ``read`` reads them.

    Attributes:
        stored: the images of the file.
        rows: int64 (N,): which of them, on the CPU.
        channels: grey is repeated and missing alpha is opaque to give the images as many.
        device: where they are moved to when they are read.
    """

    stored: StoredImages
    rows: Tensor
    channels: int
    device: torch.device = CPU

    @classmethod
    def all_of(cls, stored: StoredImages) -> ImagesOnDisk:
        """All images of a file, in order."""
        return cls(stored, torch.arange(stored.shape[0]), stored.shape[1])

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W)."""
        return len(self.rows), self.channels, *self.stored.shape[2:]

    def __getitem__(self, indices: Rows) -> ImagesOnDisk:
        """The images at some indices, int64 (n,), or of a slice; nothing is read yet."""
        return replace(self, rows=self.rows[indices.cpu() if isinstance(indices, Tensor) else indices])

    def to(self, device: torch.device | str) -> ImagesOnDisk:
        """The same images, moved to ``device`` when they are read."""
        return replace(self, device=torch.device(device))

    def read(self) -> Tensor:
        """Read the images.

        Returns:
            uint8 (N, C, H, W), on ``device``.

        Raises:
            UserError: the file cannot be read, or has changed, or the images do not fit in memory.
        """
        needed = len(self) * math.prod(self.shape[1:]) * BYTES_PER_VALUE
        check_memory(f"reading {len(self):,} images at once", needed, "use fewer or smaller images")
        images = np.empty((len(self), *self.stored.shape[1:]), np.uint8)
        for place, row, count in _runs(self.rows.numpy()):
            self.stored.read(row, images[place : place + count])
        return torch.from_numpy(with_channels(images, self.channels)).to(self.device)

    def blocks(self) -> Iterator[Tensor]:
        """Read all images in order, some megabytes at a time: uint8 (n, C, H, W) each."""
        size = max(int(min(BLOCK_BYTES, memory_bytes() / 32)) // max(math.prod(self.shape[1:]), 1), 1)
        for rows in self.rows.split(size):
            yield replace(self, rows=rows).read()

    def value_counts(self) -> Tensor:
        """How often each value occurs in each channel: int64 (C, 256).

        Of all images of the file this is known. For most of them, the others are read and subtracted.
        """
        rest = torch.ones(self.stored.shape[0], dtype=torch.bool)
        rest[self.rows] = False
        others = replace(self, rows=rest.nonzero().flatten(), device=CPU)
        each_once = len(self.rows) + len(others) == self.stored.shape[0]
        if self.channels == self.stored.shape[1] and each_once and len(others) < len(self.rows):
            return self.stored.counts - others._counted()
        return replace(self, device=CPU)._counted()

    def _counted(self) -> Tensor:
        return sum((value_counts(block) for block in self.blocks()), torch.zeros(self.channels, 256, dtype=torch.int64))


def value_counts(images: Tensor | ImagesOnDisk) -> Tensor:
    """How often each value occurs in each channel of uint8 (N, C, H, W): int64 (C, 256)."""
    if isinstance(images, ImagesOnDisk):
        return images.value_counts()
    return torch.stack([torch.bincount(channel.flatten(), minlength=256) for channel in images.unbind(1)])


def richer(images: Tensor | ImagesOnDisk, channels: int) -> Tensor | ImagesOnDisk:
    """Images with more channels, as :func:`potstill.data.shaping.with_channels` adds them."""
    if isinstance(images, ImagesOnDisk):
        return replace(images, channels=channels)
    return torch.from_numpy(with_channels(images.cpu().numpy(), channels)).to(images.device)


def _runs(rows: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Consecutive rows that follow each other: the place of the first among ``rows``, the row itself, their number."""
    if not len(rows):
        return
    ends = [*(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
    for place, end in zip([0, *ends], ends, strict=False):
        yield place, int(rows[place]), end - place
