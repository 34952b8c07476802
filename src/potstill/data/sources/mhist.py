"""MHIST: 3,152 images of colorectal polyps, hyperplastic (HP) or sessile serrated adenoma (SSA)."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch

from potstill.data.decode import decode_images
from potstill.data.sources.base import RawDataset, Request, Split, existing, first_line
from potstill.runtime.errors import UserError

CLASS_NAMES = ("HP", "SSA")
NAME, LABEL, PARTITION = "Image Name", "Majority Vote Label", "Partition"
REMEDY = "name the folder that has MHIST's annotations.csv and images/"


@dataclass(frozen=True)
class Mhist:
    """The folder of MHIST (Wei et al., 2021) as its owners distribute it: ``annotations.csv`` and ``images/``.

    The label is the majority vote of seven pathologists; the split is in the column ``Partition``. The licence forbids
    redistribution, so the images are read in place and no copy, decoded or not, is kept anywhere.
    """

    folder: Path
    name: str = "mhist"

    @classmethod
    def recognise(cls, request: Request) -> Self | None:
        """``mhist:FOLDER``."""
        prefix, _, folder = request.spec.partition(":")
        return cls(existing(Path(folder).expanduser())) if prefix == "mhist" else None

    def signature(self) -> None:
        """None: no decoded copy may be kept."""

    def read(self, image_size: int | None, channels: int | None) -> RawDataset:
        """Decode the training and test images.

        Args:
            image_size: as in :func:`potstill.data.decode.decode_images`.
            channels: as in :func:`potstill.data.decode.decode_images`.

        Raises:
            UserError: the annotations or an image are absent or damaged.
        """
        splits = {}
        for partition, rows in self._annotations().items():
            files = (self.folder / "images" / name for name, _ in rows)
            images = decode_images(((path, str(path)) for path in files), image_size=image_size, channels=channels)
            splits[partition] = Split(images, torch.tensor([label for _, label in rows], dtype=torch.int64))
        return RawDataset(splits, CLASS_NAMES)

    def _annotations(self) -> dict[str, list[tuple[str, int]]]:
        """File names and labels of each partition, in the order of the file."""
        path = self.folder / "annotations.csv"
        try:
            with path.open(newline="", encoding="utf-8-sig") as stream:
                rows = list(csv.DictReader(stream))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"cannot read {path}: {first_line(error)}", REMEDY) from error
        partitions: dict[str, list[tuple[str, int]]] = {"train": [], "test": []}
        for line, row in enumerate(rows, start=2):
            name, label, partition = row.get(NAME), row.get(LABEL), row.get(PARTITION)
            if not name or label not in CLASS_NAMES or partition not in partitions:
                raise UserError(
                    f"{path}, line {line}: {NAME} {name!r}, {LABEL} {label!r}, {PARTITION} {partition!r} "
                    "are not a name, HP or SSA, and train or test",
                    "restore the file as it was published",
                )
            partitions[partition].append((name, CLASS_NAMES.index(label)))
        if not all(partitions.values()):
            raise UserError(f"{path} does not list images for both train and test", "restore the file as published")
        return partitions
