"""Images of a dataset that deserve a look: those that occur twice, with two labels, or with hardly any contrast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from potstill.report.charts.pictures import data_uri
from potstill.report.contact_sheet import Pictured, picture
from potstill.report.images import class_titles
from potstill.schema.inspection import Inspection, Place
from potstill.schema.words import counted


@dataclass(frozen=True)
class Tile:
    """A picture as a data URI, and which image it is."""

    picture: str
    words: str


@dataclass(frozen=True)
class Exhibit:
    """Images with something in common.

    Attributes:
        title: what they have in common.
        strips: some of them; equal images are in one strip.
    """

    title: str
    strips: tuple[tuple[Tile, ...], ...]


def exhibits(record: Inspection, splits: Mapping[str, Pictured], reduction: int) -> list[Exhibit]:
    """The examples of an inspection, as pictures.

    Args:
        record: the inspection.
        splits: the images by the name of their split.
        reduction: the number by which height and width of the images are divided.
    """
    names = class_titles(record.account.class_names)

    def tiles(places: Sequence[Place]) -> tuple[Tile, ...]:
        return tuple(
            Tile(
                data_uri(picture(splits[place.split], place.index, reduction)),
                f"{place.split} {place.index}: {names[place.label]}",
            )
            for place in places
        )

    found = [Exhibit(str(item), tuple(map(tiles, item.examples))) for item in record.repeated]
    if record.contradictory:
        title = f"{record.contradictory.images:,} images occur with more than one label"
        found.insert(0, Exhibit(title, tuple(map(tiles, record.contradictory.examples))))
    for item in record.pixels:
        if item.empty:
            verb = "has" if item.empty == 1 else "have"
            title = f"{counted(item.empty, 'image')} of {item.split} {verb} hardly any contrast"
            found.append(Exhibit(title, tuple(tiles([place]) for place in item.examples)))
    return found
