"""A contact sheet: which images of each class and split are shown, and in how many pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from PIL import Image

from potstill.report.charts.pictures import as_rgb
from potstill.report.images import class_titles
from potstill.schema.account import SplitAccount
from potstill.schema.inspection import Inspection

PER_CLASS: tuple[Mapping[str, int], ...] = (
    {"train": 8, "validation": 2, "test": 4},
    {"train": 4, "validation": 1, "test": 2},
    {"train": 2, "validation": 1, "test": 1},
    {"train": 1, "validation": 1, "test": 1},
)
"""How many images of a class are shown of each split: the most that fit."""

MOST_CLASSES, MOST_PICTURES = 200, 800
PIXEL_BUDGET = 2_500_000  # of all pictures together: each takes up to 4 bytes of the page
LARGEST_SIDE = 96


class Pictured(Protocol):
    """The images of a split."""

    @property
    def labels(self) -> Any:
        """int64 (N,), in anything that NumPy can read."""
        ...

    def read(self, indices: slice, /) -> Any:
        """uint8 (n, C, H, W), in anything that NumPy can read: the images of a slice."""
        ...


@dataclass(frozen=True, eq=False)
class Group:
    """Images of one class and split.

    Attributes:
        split: the split.
        total: the number of images that there are.
        pictures: uint8 (H, W, 3), those that are shown.
    """

    split: str
    total: int
    pictures: tuple[np.ndarray, ...]


@dataclass(frozen=True, eq=False)
class Row:
    """A class."""

    name: str
    groups: tuple[Group, ...]


@dataclass(frozen=True, eq=False)
class Sheet:
    """A few images of each class.

    Attributes:
        rows: one for each class that is shown.
        hidden: the number of further classes.
        height: of a picture.
        width: of a picture.
        reduction: the number by which height and width of the images were divided.
    """

    rows: tuple[Row, ...]
    hidden: int
    height: int
    width: int
    reduction: int


def make_sheet(record: Inspection, splits: Mapping[str, Pictured]) -> Sheet:
    """Choose images that are evenly spread over each class of each split: the same ones every time.

    Args:
        record: the inspection.
        splits: the images by the name of their split.
    """
    names = record.account.class_names[:MOST_CLASSES]
    most, reduction = _plan(record.splits, len(names), *record.dataset.shape[1:])
    shown = {
        split.name: _pictures(splits[split.name], len(names), most[split.name], reduction) for split in record.splits
    }
    rows = (
        Row(name, tuple(Group(s.name, s.class_sizes[label], shown[s.name][label]) for s in record.splits))
        for label, name in enumerate(class_titles(names))
    )
    _, height, width = record.dataset.shape
    return Sheet(
        rows=tuple(rows),
        hidden=len(record.account.class_names) - len(names),
        height=-(-height // reduction),
        width=-(-width // reduction),
        reduction=reduction,
    )


def picture(part: Pictured, index: int, reduction: int) -> np.ndarray:
    """One image as colours, uint8 (H, W, 3), its height and width divided by ``reduction``.

    Args:
        part: the split.
        index: of the image in it.
        reduction: a whole number, from 1.
    """
    rgb = as_rgb(np.asarray(part.read(slice(index, index + 1))).astype(np.float32) / 255)[0]
    return np.asarray(Image.fromarray(rgb).reduce(reduction))


def _plan(splits: tuple[SplitAccount, ...], classes: int, height: int, width: int) -> tuple[Mapping[str, int], int]:
    """How many images are shown of a class, by split, and how much they are reduced: fewer before smaller."""

    def pictures(most: Mapping[str, int]) -> int:
        return sum(min(size, most[split.name]) for split in splits for size in split.class_sizes[:classes])

    reduction = -(-max(height, width) // LARGEST_SIDE)
    room = min(MOST_PICTURES, PIXEL_BUDGET * reduction**2 // (height * width))
    most = next((most for most in PER_CLASS if pictures(most) <= room), PER_CLASS[-1])
    while pictures(most) * height * width > PIXEL_BUDGET * reduction**2:
        reduction += 1
    return most, min(reduction, height, width)


def _pictures(part: Pictured, classes: int, most: int, reduction: int) -> list[tuple[np.ndarray, ...]]:
    """For each class the pictures that are shown of it."""
    labels = np.asarray(part.labels)
    order = np.argsort(labels, kind="stable")
    ends = np.searchsorted(labels[order], np.arange(classes + 1))
    found = []
    for first, last in pairwise(ends):
        places = np.linspace(first, last - 1, min(most, last - first)).round().astype(int)
        found.append(tuple(picture(part, int(index), reduction) for index in order[places]))
    return found
