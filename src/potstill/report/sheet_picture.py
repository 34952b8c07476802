"""A contact sheet as one picture."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from PIL.ImageFont import FreeTypeFont

from potstill.report.contact_sheet import Group, Row, Sheet
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
    drawing = _Drawing(sheet, _font(NAME_SIZE), _font(COUNT_SIZE))
    canvas = drawing.draw(title)
    stream = io.BytesIO()
    canvas.save(stream, "PNG")
    return stream.getvalue()


@dataclass(frozen=True, eq=False)
class _Drawing:
    """The measures of a picture, and drawing it: blocks of equal size in columns, read downwards."""

    sheet: Sheet
    name_font: FreeTypeFont
    count_font: FreeTypeFont

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
        return sum(self.group_widths) + BETWEEN * len(self.group_widths), self.images_top + self.tile[1] + BETWEEN

    @property
    def images_top(self) -> int:
        """Where the images of a class begin, below its name and the numbers of images."""
        return NAME_SIZE + COUNT_SIZE + 12

    def draw(self, title: str) -> Image.Image:
        """The picture."""
        classes, (width, height) = len(self.sheet.rows), self.block
        # About as high as wide, within reason.
        across = max(1, min(round((classes * height / width) ** 0.5), (WIDEST - 2 * MARGIN) // width))
        down = -(-classes // across)
        canvas = Image.new("RGB", (2 * MARGIN - BETWEEN + across * width, 3 * MARGIN + down * height), PAPER)
        note = f", the first {classes} classes" if self.sheet.hidden else ""
        ImageDraw.Draw(canvas).text((MARGIN, MARGIN - 8), title + note, INK, self.name_font)
        for place, row in enumerate(self.sheet.rows):
            column, line = divmod(place, down)
            self._draw_class(canvas, row, MARGIN + column * width, 2 * MARGIN + line * height)
        return canvas

    def _draw_class(self, canvas: Image.Image, row: Row, left: int, top: int) -> None:
        pen = ImageDraw.Draw(canvas)
        pen.text((left, top), _fitting(row.name, self.name_font, self.block[0] - BETWEEN), INK, self.name_font)
        for group, width in zip(row.groups, self.group_widths, strict=True):
            pen.text((left, top + NAME_SIZE + 4), _caption(group), SOFT, self.count_font)
            for number, pixels in enumerate(group.pictures):
                tile = Image.fromarray(pixels).resize(self.tile, Image.Resampling.NEAREST)
                canvas.paste(tile, (left + number * (self.tile[0] + GAP), top + self.images_top))
            left += width + BETWEEN

    def _group_width(self, group: Group) -> int:
        images = len(group.pictures) * (self.tile[0] + GAP) - GAP
        return max(images, round(self.count_font.getlength(_caption(group))))


def _caption(group: Group) -> str:
    return f"{group.split} {count(group.total)}"


def _font(size: int) -> FreeTypeFont:
    """The font that comes with matplotlib, so that a sheet looks the same on every machine."""
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def _fitting(text: str, font: FreeTypeFont, width: int) -> str:
    """The text, without its end if it is wider than ``width``."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"
