"""An ``.npz`` archive in the layout of MedMNIST."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch

from potstill.data.decode import resize_arrays, to_bytes
from potstill.data.sources.base import RawDataset, Request, Split, class_labels, existing, first_line, numbered_classes
from potstill.runtime.errors import UserError

SPLITS = {"train": "train", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class Npz:
    """Arrays ``train_images``, ``train_labels`` and the same for ``test`` and perhaps ``val``.

    Images are (N, H, W) or (N, H, W, C) with 1 to 4 channels: uint8, integers in [0, 255], or floating point in
    [0, 1] or [0, 255], depending on whether the largest pixel of the split is above 1. Labels are integers (N,) or
    (N, 1). MedMNIST: Yang et al., 2023.
    """

    name: str
    path: Path

    @classmethod
    def recognise(cls, request: Request) -> Self | None:
        """A path that ends in ``.npz``."""
        path = request.path
        return cls(path.stem, existing(path)) if path is not None and path.suffix == ".npz" else None

    def signature(self) -> None:
        """None: the archive already holds decoded images."""

    def read(self, image_size: int | None, channels: int | None) -> RawDataset:
        """Read the archive; classes are named by their numbers.

        Args:
            image_size: the side in pixels to resize to, if any.
            channels: ignored: images keep their channels.

        Raises:
            UserError: the archive is damaged, contains objects or lacks an array, or its arrays are inconsistent.
        """
        try:
            # Reading an archive of objects would run code; without allow_pickle it is refused.
            with np.load(self.path, allow_pickle=False) as archive:
                if "train_images" not in archive.files:
                    raise UserError(
                        f"{self.path} has no train_images among {', '.join(archive.files)}",
                        "name the arrays train_images, train_labels, test_images, test_labels",
                    )
                splits = {
                    split: self._split(archive, published, image_size)
                    for published, split in SPLITS.items()
                    if f"{published}_images" in archive.files
                }
        except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
            raise UserError(
                f"cannot read {self.path}: {first_line(error)}", "replace it with an intact .npz of plain arrays"
            ) from error
        return RawDataset(splits, numbered_classes(splits))

    def _split(self, archive: np.lib.npyio.NpzFile, published: str, image_size: int | None) -> Split:
        where = f"{self.path}, {published}_images"
        if f"{published}_labels" not in archive.files:
            raise UserError(f"{self.path} has {published}_images without {published}_labels", "add the labels")
        images, labels = archive[f"{published}_images"], archive[f"{published}_labels"]
        if images.ndim == 3:
            images = images[..., None]
        if images.ndim != 4 or images.shape[3] not in (1, 2, 3, 4):
            raise UserError(
                f"{where} has the shape {images.shape}", "store images as (N, H, W) or (N, H, W, C) with C from 1 to 4"
            )
        in_bytes = np.issubdtype(images.dtype, np.floating) and bool((images > 1).any())
        scaled = to_bytes(images, where, floats_end_at=255 if in_bytes else 1)
        pixels = np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))
        if image_size is not None:
            pixels = resize_arrays(pixels, image_size)
        classes = class_labels(labels, f"{self.path}, {published}_labels")
        if len(classes) != len(pixels):
            raise UserError(f"{where} has {len(pixels)} images but {len(classes)} labels", "store one label per image")
        return Split(torch.from_numpy(pixels), classes)
