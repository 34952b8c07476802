"""MHIST: 3,152 images of colorectal polyps, hyperplastic (HP) or sessile serrated adenoma (SSA)."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from potstill.data.choices import Choices
from potstill.data.found import Encoded, Found, Labels, Part
from potstill.data.sources.base import Request, existing
from potstill.runtime.errors import UserError, in_one_line
from potstill.runtime.files import expanded
from potstill.runtime.reading import open_regular

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
        return cls(existing(expanded(folder))) if prefix == "mhist" else None

    def signature(self) -> None:
        """None: no decoded copy may be kept."""

    def find(self, choices: Choices) -> Found:
        """The training and test images.

        Raises:
            UserError: the annotations are absent or damaged.
        """
        parts = tuple(self._part(partition, rows) for partition, rows in self._annotations().items())
        return Found("MHIST", str(self.folder), parts)

    def _part(self, partition: str, rows: list[tuple[str, int]]) -> Part:
        files = [self.folder / "images" / name for name, _ in rows]
        images = Encoded(len(files), lambda: ((path, str(path)) for path in files))
        labels = Labels.of_numbers([label for _, label in rows], str(self.folder), CLASS_NAMES)
        return Part(images, labels, f"partition {partition} of annotations.csv", (partition,))

    def _annotations(self) -> dict[str, list[tuple[str, int]]]:
        """File names and labels of each partition, in the order of the file."""
        path = self.folder / "annotations.csv"
        try:
            with io.TextIOWrapper(open_regular(path), newline="", encoding="utf-8-sig") as stream:
                rows = list(csv.DictReader(stream))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"cannot read {path}: {in_one_line(error)}", REMEDY) from error
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
