"""A contact sheet as one picture."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property

from PIL import Image, ImageDraw, ImageFont
from PIL.ImageFont import FreeTypeFont

from potstill.report.contact_sheet import Group, Row, Sheet
from potstill.report.lettering import drawable_names, font_file
from potstill.report.wording import count

TILE = 56  # the approximate side of an image
MARGIN, GAP, BETWEEN = 24, 2, 16  # around the picture, between images, between splits and between classes
NAME_SIZE, COUNT_SIZE, WIDEST = 14, 11, 2400
PAPER, INK, SOFT = "#fcfbf8", "#1d1b18", "#635d53"


def sheet_picture(sheet: Sheet, title: str) -> bytes:
    """Draw a sheet as a PNG: for each class its name, and for each split the number of its images and some of them.

    Args:
        sheet: the sheet.
        title: stands above it.
    """
    canvas = _Drawing(sheet).draw(title)
    stream = io.BytesIO()
    canvas.save(stream, "PNG")
    return stream.getvalue()


@dataclass(frozen=True, eq=False)
class _Drawing:
    """The measures of a picture, and drawing it: blocks of equal size in columns, read downwards."""

    sheet: Sheet

    @cached_property
    def count_font(self) -> FreeTypeFont:
        """The font of the numbers of images."""
        return _font("", COUNT_SIZE)

    @cached_property
    def scale(self) -> int:
        """The whole number by which a small image is enlarged."""
        return max(1, round(TILE / max(self.sheet.height, self.sheet.width)))

    @cached_property
    def tile(self) -> tuple[int, int]:
        """Width and height of an image."""
        return self.scale * self.sheet.width, self.scale * self.sheet.height

    @cached_property
    def group_widths(self) -> list[int]:
        """The width of each split, so that the splits of all classes stand in line."""
        groups = zip(*(row.groups for row in self.sheet.rows), strict=True)
        return [max(self._group_width(group) for group in split) for split in groups]

    @cached_property
    def block(self) -> tuple[int, int]:
        """Width and height of a class with the space after it."""
        above = NAME_SIZE + 4 + COUNT_SIZE + 6
        return sum(self.group_widths) + BETWEEN * len(self.group_widths), above + self.tile[1] + BETWEEN

    def draw(self, title: str) -> Image.Image:
        """The picture."""
        classes, (width, height) = len(self.sheet.rows), self.block
        # About as high as wide, within reason.
        across = max(1, min(round((classes * height / width) ** 0.5), (WIDEST - 2 * MARGIN) // width))
        down = -(-classes // across)
        canvas = Image.new("RGB", (2 * MARGIN - BETWEEN + across * width, 3 * MARGIN + down * height), PAPER)
        note = f", the first {classes} classes" if self.sheet.hidden else ""
        _write(canvas, (MARGIN, MARGIN - 8), title + note, canvas.width - 2 * MARGIN)
        names = drawable_names([row.name for row in self.sheet.rows], most=200)
        for place, (name, row) in enumerate(zip(names, self.sheet.rows, strict=True)):
            column, line = divmod(place, down)
            left, top = MARGIN + column * width, 2 * MARGIN + line * height
            _write(canvas, (left, top), name, width - BETWEEN)
            self._draw_groups(canvas, row, left, top + NAME_SIZE + 4)
        return canvas

    def _draw_groups(self, canvas: Image.Image, row: Row, left: int, top: int) -> None:
        """The numbers of images, and below them the images."""
        for group, width in zip(row.groups, self.group_widths, strict=True):
            ImageDraw.Draw(canvas).text((left, top), _caption(group), SOFT, self.count_font)
            for number, pixels in enumerate(group.pictures):
                tile = Image.fromarray(pixels).resize(self.tile, Image.Resampling.NEAREST)
                canvas.paste(tile, (left + number * (self.tile[0] + GAP), top + COUNT_SIZE + 6))
            left += width + BETWEEN

    def _group_width(self, group: Group) -> int:
        images = len(group.pictures) * (self.tile[0] + GAP) - GAP
        return max(images, round(self.count_font.getlength(_caption(group))))


def _caption(group: Group) -> str:
    return f"{group.split} {count(group.total)}"


def _font(text: str, size: int) -> FreeTypeFont:
    return ImageFont.truetype(font_file(text), size)


def _write(canvas: Image.Image, place: tuple[int, int], text: str, width: int) -> None:
    """Write a text, without its end if it is wider than ``width``."""
    font, shown = _font(text, NAME_SIZE), text
    while text and font.getlength(shown) > width:
        text = text[:-1]
        shown = f"{text}…"
    ImageDraw.Draw(canvas).text(place, shown, INK, font)
