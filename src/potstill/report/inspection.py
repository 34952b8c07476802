"""The files of an inspection: its record, a contact sheet and a page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from potstill.report.charts.pictures import CHANNEL_NOTES, data_uri
from potstill.report.contact_sheet import Group, Pictured, Sheet, make_sheet
from potstill.report.exhibits import Tile, exhibits
from potstill.report.images import class_titles
from potstill.report.page import rendered
from potstill.report.sections.gallery import tile_width
from potstill.report.sheet_picture import sheet_picture
from potstill.report.wording import count, images
from potstill.runtime.errors import UserError
from potstill.runtime.files import write_atomic
from potstill.schema.inspection import Inspection
from potstill.schema.shapes import is_vector
from potstill.schema.words import channels_in_words, counted

PAGE, SHEET = "index.html", "contact-sheet.png"


class Splits(Protocol):
    """A dataset: the images of its splits."""

    @property
    def splits(self) -> Mapping[str, Pictured]:
        """The splits by their names."""
        ...


def check_folder(out: str | Path) -> None:
    """Refuse a folder in which a page would replace something else.

    Raises:
        UserError: the folder has an ``index.html`` but no ``inspection.json``, or is a file.
    """
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is not a folder", "choose another `out`")
    if (folder / PAGE).exists() and not (folder / Inspection.FILE).exists():
        raise UserError(f"{folder} has an {PAGE} that is not of an inspection", "choose another `out`")


def write_inspection(record: Inspection, dataset: Splits, out: str | Path) -> Path:
    """Write ``inspection.json``, ``contact-sheet.png`` and ``index.html``, replacing those of an earlier inspection.

    The page is one file without references to others. The same dataset gives the same files. Of vectors, which have
    nothing to look at, there is the record alone.

    Args:
        record: the inspection of the dataset.
        dataset: the dataset, with its images on the CPU.
        out: the folder to write into.

    Returns:
        The path of the page; of vectors, that of the record.

    Raises:
        UserError: the folder has a page of something else, or a file cannot be written.
    """
    check_folder(out)
    folder = Path(out)
    if is_vector(record.dataset.shape):
        record.write(folder / Inspection.FILE)
        return folder / Inspection.FILE
    sheet = make_sheet(record, dataset.splits)
    page = render(record, sheet, dataset.splits)
    record.write(folder / Inspection.FILE)
    write_atomic(folder / SHEET, sheet_picture(sheet, record.dataset.title))
    write_atomic(folder / PAGE, page)
    return folder / PAGE


def render(record: Inspection, sheet: Sheet, splits: Mapping[str, Pictured]) -> str:
    """The page as HTML.

    Args:
        record: what was found.
        sheet: the images of the contact sheet.
        splits: the splits that the images are from.
    """
    dataset = record.dataset
    channels, height, width = dataset.shape
    return rendered(
        "inspection.html.jinja",
        dated="",
        title=f"{dataset.name}: {images(dataset.images)} of {count(dataset.classes)} classes",
        facts=[f"{width} × {height} pixels", channels_in_words(channels), record.account.layout],
        lead=_lead(record),
        remarks=[],
        record=record,
        classes=class_titles(record.account.class_names),
        rows=[(row.name, [(group, _tiles(row.name, group)) for group in row.groups]) for row in sheet.rows],
        notes=_notes(sheet, channels),
        exhibits=exhibits(record, splits, sheet.reduction),
        tiles=max(sum(len(group.pictures) for group in row.groups) for row in sheet.rows),
        aspect=sheet.width / sheet.height,
        large=tile_width(sheet.width, 64),
        small=tile_width(sheet.width, 48),
        largest=max(sum(sizes) for sizes in zip(*(split.class_sizes for split in record.splits), strict=True)),
    )


def _lead(record: Inspection) -> str:
    if not record.account.warnings:
        numbers = " It has as many images as were published." if record.published else ""
        return f"Nothing was found that would make results misleading.{numbers}"
    return f"{counted(len(record.account.warnings), 'thing')} to know before this dataset is distilled."


def _tiles(name: str, group: Group) -> list[Tile]:
    return [Tile(data_uri(rgb), f"{name}, {group.split}") for rgb in group.pictures]


def _notes(sheet: Sheet, channels: int) -> list[str]:
    """What the pictures do not show."""
    notes = [CHANNEL_NOTES.get(channels, "")]
    if sheet.reduction > 1:
        notes.append(f"Pictures are reduced to 1/{sheet.reduction} of their width and height.")
    if sheet.hidden:
        notes.append(f"{counted(sheet.hidden, 'further class')} are in the table only.")
    return [note for note in notes if note]
