"""An ``.npz`` archive in the layout of MedMNIST."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from potstill.data.choices import Choices
from potstill.data.found import Arrays, Found, Labels, Part
from potstill.data.sources.base import Request, existing, first_line
from potstill.runtime.errors import UserError


@dataclass(frozen=True)
class Npz:
    """Arrays ``train_images``, ``train_labels`` and the same for ``test`` and perhaps ``val``.

    Images are (N, H, W) or (N, H, W, C) with 1 to 4 channels: uint8, integers in [0, 255], or floating point in
    [0, 1] or [0, 255], depending on whether the largest pixel of the split is above 1. Labels are integers (N,) or
    (N, 1); classes are named by their numbers. MedMNIST: Yang et al., 2023.
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

    def find(self, choices: Choices) -> Found:
        """The arrays of the archive.

        Raises:
            UserError: the archive is damaged, contains objects or lacks an array.
        """
        try:
            # Reading an archive of objects would run code; without allow_pickle it is refused.
            with np.load(self.path, allow_pickle=False) as archive:
                splits = [name.removesuffix("_images") for name in archive.files if name.endswith("_images")]
                if not splits:
                    raise UserError(
                        f"{self.path} has no train_images among {', '.join(archive.files)}",
                        "name the arrays train_images, train_labels, test_images, test_labels",
                    )
                parts = tuple(self._part(archive, split) for split in splits)
        except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
            raise UserError(
                f"cannot read {self.path}: {first_line(error)}", "replace it with an intact .npz of plain arrays"
            ) from error
        return Found("an .npz archive", str(self.path), parts, named=True)

    def _part(self, archive: np.lib.npyio.NpzFile, split: str) -> Part:
        if f"{split}_labels" not in archive.files:
            raise UserError(f"{self.path} has {split}_images without {split}_labels", "add the labels")
        images = Arrays(archive[f"{split}_images"], f"{self.path}, {split}_images")
        labels = Labels.of_numbers(archive[f"{split}_labels"], f"{self.path}, {split}_labels")
        return Part(images, labels, f"the array {split}_images", (split,))
