"""Confusion matrices: the predicted classes of the images of each true class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from potstill.report import wording
from potstill.report.charts.pictures import data_uri
from potstill.report.run import Run, Section

LARGEST_TABLE = 24
MOST_MISTAKES = 10
PALE, DEEP = (244, 239, 230), (122, 44, 8)


@dataclass(frozen=True)
class Cell:
    """A count, and its share of the images of its true class."""

    count: int
    share: float
    right: bool


@dataclass(frozen=True)
class ClassLine:
    """A true class: how often it was recognised, and its predicted classes if the table is not too large."""

    name: str
    accuracy: str
    images: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Mistake:
    """One class that was predicted as another."""

    true: str
    taken_for: str
    count: str
    share: str


@dataclass(frozen=True)
class Confusion:
    """The confusion matrix of one network.

    Attributes:
        network: its title.
        lines: one for each class.
        picture: the matrix as a picture with one pixel per cell, if a table would be too large.
        mistakes: the most frequent mistakes.
    """

    network: str
    lines: tuple[ClassLine, ...]
    picture: str | None
    mistakes: tuple[Mistake, ...]


def view(run: Run) -> list[Confusion] | None:
    """The confusion matrices of the distilled set, with that of the headline's network first; None without any."""
    results = {} if run.evaluation is None else run.evaluation.usable
    ordered = sorted(results.items(), key=lambda item: item[0] != run.headline)
    made = [
        make_confusion(wording.network_title(name), np.asarray(result.confusion), run.after.titles)
        for name, result in ordered
        if result.confusion
    ]
    return made or None


def shares(counts: np.ndarray) -> np.ndarray:
    """Counts (K, K) as shares of their rows, zero where a class has no image."""
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def make_confusion(network: str, counts: np.ndarray, names: tuple[str, ...]) -> Confusion:
    """A confusion matrix in words and shares, for the page.

    Args:
        network: the title of the network.
        counts: int (K, K), the number of images by true class (row) and predicted class (column).
        names: the names of the K classes.
    """
    share = shares(counts)
    small = len(names) <= LARGEST_TABLE
    return Confusion(
        network=network,
        lines=tuple(
            ClassLine(
                name=name,
                accuracy=wording.percent(share[row, row]) if counts[row].any() else "–",
                images=wording.count(int(counts[row].sum())),
                cells=_cells(counts[row], share[row], row) if small else (),
            )
            for row, name in enumerate(names)
        ),
        picture=None if small else data_uri(_heat(share)),
        mistakes=_mistakes(counts, share, names),
    )


def _cells(counts: np.ndarray, share: np.ndarray, row: int) -> tuple[Cell, ...]:
    return tuple(
        Cell(int(number), round(float(part), 4), column == row)
        for column, (number, part) in enumerate(zip(counts, share, strict=True))
    )


def _mistakes(counts: np.ndarray, share: np.ndarray, names: tuple[str, ...]) -> tuple[Mistake, ...]:
    wrong = counts * (1 - np.eye(len(names), dtype=np.int64))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_MISTAKES]
    places = [(index // len(names), index % len(names)) for index in order.tolist()]
    return tuple(
        Mistake(
            names[row],
            names[column],
            wording.count(int(wrong[row, column])),
            wording.percent(float(share[row, column])),
        )
        for row, column in places
        if wrong[row, column] > 0
    )


def _heat(share: np.ndarray) -> np.ndarray:
    """Shares as colours; the square root makes a few percent of confusion visible beside a strong diagonal."""
    depth = np.sqrt(share)[..., None]
    return np.rint(np.asarray(PALE) * (1 - depth) + np.asarray(DEEP) * depth).astype(np.uint8)


SECTION = Section("confusion", view)
