"""A set of vectors: where they lie among real ones. It takes the place of the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from potstill.report.run import Run, Section
from potstill.report.wording import images, percent
from potstill.schema.vector_map import Place, VectorMap

SIDE = 100.0
"""The longer side of the chart, in its own units."""
MARGIN = 3.0
MOST_CLASSES = 20
"""With more classes the colours could not be distinguished."""


@dataclass(frozen=True)
class Dot:
    """A vector on the chart, in its units."""

    x: float
    y: float


@dataclass(frozen=True)
class Class:
    """The vectors of a class.

    Attributes:
        name: of the class.
        hue: of its colour, in degrees; None if there are too many classes for colours.
        real: real training vectors.
        synthetic: the vectors of the set.
    """

    name: str
    hue: int | None
    real: tuple[Dot, ...]
    synthetic: tuple[Dot, ...]


@dataclass(frozen=True)
class View:
    """The map.

    Attributes:
        width: of the chart, in its units.
        height: likewise.
        classes: the vectors by class.
        summary: what is shown, in a sentence for everyone and for screen readers.
    """

    width: float
    height: float
    classes: tuple[Class, ...]
    summary: str


def view(run: Run) -> View | None:
    """The map of a set of vectors, if it was made."""
    found = run.record(VectorMap)
    if found is None:
        return None
    across, up = ([place[axis] for place in (*found.real, *found.synthetic)] or [0.0] for axis in (0, 1))
    lows, extents = [min(across), min(up)], [max(across) - min(across), max(up) - min(up)]
    scale = SIDE / (max(extents) or 1.0)
    width, height = (extent * scale + 2 * MARGIN for extent in extents)

    def dots(some: Sequence[Place], label: int) -> tuple[Dot, ...]:
        return tuple(
            Dot(round((x - lows[0]) * scale + MARGIN, 2), round(height - (y - lows[1]) * scale - MARGIN, 2))
            for x, y, own in some
            if own == label
        )

    names = run.after.titles
    coloured = len(names) <= MOST_CLASSES
    return View(
        width=round(width, 2),
        height=round(height, 2),
        classes=tuple(
            Class(
                name=name,
                hue=round(360 * label / len(names)) if coloured else None,
                real=dots(found.real, label),
                synthetic=dots(found.synthetic, label),
            )
            for label, name in enumerate(names)
        ),
        summary=f"The {images(len(found.synthetic), 'vector')} of the set among {len(found.real):,} real training "
        f"vectors, in the plane in which these vary most: it shows {percent(found.share, 0)} of their variance.",
    )


SECTION = Section("vectors", view, VectorMap)
