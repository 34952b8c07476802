"""Images of all classes as one PNG figure, pixel for pixel: a block of pictures for each class, with its name."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from potstill.report.images import ImageSet
from potstill.report.lettering import columns, drawable_names, font_families

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 150
MOST_CLASSES, MOST_IMAGES = 50, 10
WIDTH, MARGIN, GAP = 1080, 24, 3
"""Pixels: the width of the figure where blocks stand side by side, its margin, and the gap between pictures."""
LETTER, TITLE_LETTER, LINE = 10.5, 11.5, 26
"""Pixels: the width of a character in names and in the title, and the height of a line."""
SIDE, LARGE_SIDE = 72, 120
"""Pixels: the longer side of a picture, in long rows and in short ones."""
LONG_ROW = 5
INK = "#1d1b18"


@dataclass(frozen=True)
class MosaicLayout:
    """Where everything stands, in pixels from the top left corner.

    Attributes:
        width: of the figure.
        height: of the figure.
        title: the lines of the title.
        blocks: left and top of the pictures of each class.
        names: left and top of the name of each class; names end left of the pictures if they are ``beside`` them.
        beside: whether names are to the left of the pictures, rather than above them.
    """

    width: int
    height: int
    title: tuple[str, ...]
    blocks: tuple[tuple[int, int], ...]
    names: tuple[tuple[int, int], ...]
    beside: bool


def mosaic(images: ImageSet, pictures: np.ndarray, title: str) -> Figure:
    """Pictures by class.

    Long rows stand below each other, with the names at the left. Blocks of few pictures stand side by side, with the
    names above them.

    Args:
        images: the set, which says to which class a picture belongs.
        pictures: uint8 (N, H, W, 3), one for each image.
        title: the title, to which is added what is not shown.
    """
    from matplotlib.figure import Figure

    members = [some[:MOST_IMAGES] for some in images.members[:MOST_CLASSES]]
    names = drawable_names(images.titles[: len(members)])
    most = max(max(len(some) for some in members), 1)
    enlarged = _resized(pictures, SIDE if most >= LONG_ROW else LARGE_SIDE)
    height, width = enlarged.shape[1:3]
    strip = most * (width + GAP) - GAP
    layout = _layout(names, (strip, height), most >= LONG_ROW, title + _hidden(images, len(members), most))
    figure = Figure(figsize=(layout.width / DPI, layout.height / DPI), dpi=DPI)
    for some, (left, top) in zip(members, layout.blocks, strict=True):
        row = np.full((height, strip, 3), 255, dtype=np.uint8)
        for place, member in enumerate(some):
            row[:, place * (width + GAP) : place * (width + GAP) + width] = enlarged[member]
        figure.figimage(row, left, layout.height - top - height, origin="upper")
    for name, (left, top) in zip(names, layout.names, strict=True):
        _write(figure, layout, (left, top), name, "right" if layout.beside else "left", 8)
    for number, line in enumerate(layout.title):
        _write(figure, layout, (MARGIN, MARGIN + number * LINE), line, "left", 9)
    return figure


def _layout(names: list[str], block: tuple[int, int], beside: bool, title: str) -> MosaicLayout:
    """Places for blocks of pictures, width and height of which are ``block``."""
    width, height = block
    name = math.ceil(max(LETTER * columns(name) for name in names))
    if beside:
        each, offset, across = (name + 12 + width, max(height, LINE) + 2 * GAP), (name + 12, 0), 1
    else:
        each, offset = (max(width, name) + 18, height + LINE + 12), (0, LINE)
        rows = math.ceil(len(names) / max((WIDTH - 2 * MARGIN + 18) // each[0], 1))
        across = math.ceil(len(names) / rows)  # rows of about equal length
    whole = max(2 * MARGIN + across * each[0], 480)
    lines = tuple(textwrap.wrap(title, int((whole - 2 * MARGIN) / TITLE_LETTER)))
    top = MARGIN + len(lines) * LINE + 10
    cells = [(MARGIN + place % across * each[0], top + place // across * each[1]) for place in range(len(names))]
    return MosaicLayout(
        width=whole,
        height=top + math.ceil(len(names) / across) * each[1] - (2 * GAP if beside else 12) + MARGIN,
        title=lines,
        blocks=tuple((x + offset[0], y + offset[1]) for x, y in cells),
        names=tuple((x + name, y + max(height - LINE, 0) // 2) if beside else (x, y) for x, y in cells),
        beside=beside,
    )


def _write(figure: Figure, layout: MosaicLayout, place: tuple[int, int], text: str, side: str, size: int) -> None:
    x, y = place[0] / layout.width, 1 - (place[1] + LINE / 2) / layout.height
    style = {"fontsize": size, "color": INK, "parse_math": False, "fontfamily": list(font_families())}
    figure.text(x, y, text, ha=side, va="center_baseline", **style)


def _hidden(images: ImageSet, classes: int, most: int) -> str:
    """What of the set is not shown, for the title."""
    parts = []
    if classes < len(images.titles):
        parts.append(f"; the first {classes} of {len(images.titles)} classes")
    largest = max(len(members) for members in images.members)
    if most < largest:
        parts.append(f"; {most} of {largest} images of a class")
    return "".join(parts)


def _resized(pictures: np.ndarray, side: int) -> np.ndarray:
    """Pictures enlarged by a whole number, or reduced by one, so that all pixels stay equally large."""
    longest = max(pictures.shape[1:3])
    if longest <= 1.5 * side:
        factor = max(round(side / longest), 1)
        return pictures.repeat(factor, axis=1).repeat(factor, axis=2)
    factor = math.ceil(longest / (1.5 * side))
    height, width = (size - size % factor if size >= factor else size for size in pictures.shape[1:3])
    if min(height, width) < factor:
        return pictures
    parts = pictures[:, :height, :width].reshape(
        len(pictures), height // factor, factor, width // factor, factor, pictures.shape[3]
    )
    return np.rint(parts.mean(axis=(2, 4))).astype(np.uint8)
