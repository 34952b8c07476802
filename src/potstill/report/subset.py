"""The page of a selection: what was chosen, what was not, and what the choice is worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from potstill.report import wording
from potstill.report.charts.pictures import CHANNEL_NOTES, data_uri
from potstill.report.contact_sheet import LARGEST_SIDE, Pictured, picture
from potstill.report.exhibits import Tile
from potstill.report.images import class_titles
from potstill.report.page import rendered
from potstill.report.protocol import measured_on, recipe_title, training_of
from potstill.report.sections.gallery import tile_width
from potstill.runtime.files import write_atomic
from potstill.schema.subset import ChosenAndRandom, Neighbour, Subset

PAGE = "selection.html"
MOST_CLASSES = 30
PER_CLASS = 12
"""How many of the chosen are shown of each class, and of how many classes."""


@dataclass(frozen=True)
class Strip:
    """Pictures with something in common, and what that is."""

    name: str
    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class Row:
    """A line of the table of accuracies."""

    network: str
    chosen: str
    random: str
    gain: str
    seconds: str


@dataclass(frozen=True)
class Pair:
    """A line of a table: one that was left out, and the nearest chosen one."""

    dropped: str
    chosen: str
    label: str
    distance: str


@dataclass(frozen=True)
class Pictures:
    """The pictures of a page.

    Attributes:
        chosen: a strip for each class.
        pairs: of each pair the one that was not chosen and the chosen one.
        farthest: what is farthest from all that was chosen.
        hardest: the hardest that was not chosen.
        large: width of a picture in CSS pixels on a wide screen.
        small: the same on a phone.
        aspect: width divided by height.
        notes: what pictures do not show.
    """

    chosen: tuple[Strip, ...]
    pairs: tuple[Strip, ...]
    farthest: tuple[Tile, ...]
    hardest: tuple[Tile, ...]
    large: int
    small: int
    aspect: float
    notes: tuple[str, ...]


def write_subset(
    folder: str | Path,
    images: Pictured | None = None,
    places: Sequence[int] | None = None,
    files: Sequence[str] | None = None,
    *,
    cropped: bool = False,
) -> Path:
    """Write ``selection.html`` beside the ``selection.json`` in ``folder``, and return its path.

    Args:
        folder: the folder.
        images: what was chosen from, to show some of it; None shows no pictures.
        places: the published number of each of these images; by default they are all there are.
        files: the file of each of these images or vectors, to name it; None if they are not in files of their own.
        cropped: whether these images are central squares of what was chosen from.

    Raises:
        UserError: the record is missing or damaged, or the page cannot be written.
    """
    folder = Path(folder)
    record = Subset.read(folder / Subset.FILE)
    shown, at = None, None if places is None else {int(place): row for row, place in enumerate(places)}

    def named(index: int) -> str:
        file = "" if files is None else Path(files[index if at is None else at[index]]).name
        return f"{index}, {file}" if file else str(index)

    if images is not None and not record.vectors:
        shown = _pictures(record, record.chosen_numbers(folder), images, at, named)
        if cropped:
            shown = replace(shown, notes=(*shown.notes, "The central square of each image is shown."))
    path = folder / PAGE
    write_atomic(path, render(record, shown, named))
    return path


def render(record: Subset, pictures: Pictures | None = None, named: Callable[[int], str] = str) -> str:
    """The page as HTML.

    Args:
        record: the record.
        pictures: what is shown of images; None shows none.
        named: what one is called, by its published number.
    """
    titles = class_titles(record.class_names) if record.labelled else ["all"]
    worth = record.worth
    lead, *remarks = subset_verdict(record)
    return rendered(
        "selection.html.jinja",
        dated="",
        title=f"{wording.count(record.chosen)} of {wording.count(record.total)} from {record.source}",
        facts=[record.rule, f"{wording.count(len(record.counts))} classes" if record.labelled else "without labels"],
        lead=lead,
        remarks=remarks,
        pictures=pictures,
        compared=_compared(record),
        nearest=_pairs(record, record.nearest, titles, named),
        farthest=_pairs(record, record.farthest, titles, named),
        members=_members(record),
        rows=[] if worth is None else [_row(name, each) for name, each in worth.networks.items() if each.usable],
        failures=[] if worth is None else list(_failures(worth.networks, _members(record))),
        classes=list(zip(titles, record.class_sizes, record.counts, strict=True)) if record.labelled else [],
        settings=_settings(record),
    )


def _compared(record: Subset) -> str:
    """What the nearest and the farthest are compared with, and of how many they are, if not of all left out."""
    words = ["Distances are to the chosen ones of the same class."] if record.labelled else []
    if record.compared not in (0, record.left_out):
        several = f"{wording.count(record.compared)} of the {wording.count(record.left_out)}"
        words.append(f"Compared: {several} left out, evenly spread.")
    return " ".join(words)


def _pairs(
    record: Subset, neighbours: Sequence[Neighbour], titles: Sequence[str], named: Callable[[int], str]
) -> list[Pair]:
    classes = dict(enumerate(titles if record.labelled else ()))
    return [
        Pair(
            dropped=named(each.dropped),
            chosen=named(each.chosen),
            label=classes.get(each.label, ""),
            distance=f"{each.distance:.3g}",
        )
        for each in neighbours
    ]


def subset_verdict(record: Subset) -> list[str]:
    """What the choice is worth, a sentence for each network; or how it was made, if that was not measured."""
    of = _members(record)
    made = f"{wording.count(record.chosen)} {of} chosen by {record.rule} in {wording.duration(record.seconds)}."
    if record.worth is None:
        return [made]
    judged = [_judged(name, each, of) for name, each in record.worth.networks.items() if each.usable]
    return [*judged, *(f"{name}: {failed}." for name, failed in _failures(record.worth.networks, of)), made]


def _members(record: Subset) -> str:
    return "vectors" if record.vectors else "images"


def _judged(network: str, each: ChosenAndRandom, of: str) -> str:
    title = wording.network_title(network)
    reached = (
        f"{title}: {wording.points(each.chosen.mean)} % on the choice, "
        f"{wording.points(each.random.mean)} % on as many random {of} of each class"
    )
    if min(each.chosen.repeats, each.random.repeats) < 2:
        return f"{reached}. One training each shows no difference."
    if each.interval is None:
        return f"{reached}, in every training."
    low, high = each.interval
    between = f"{wording.signed(each.gain)} points [{wording.signed(low)}, {wording.signed(high)}]"
    if low > 0:
        return f"{reached}: the choice is better, {between}."
    if high < 0:
        return f"{reached}: the choice is worse, {between}."
    return f"{reached}: no clear difference, {between}."


def _row(network: str, each: ChosenAndRandom) -> Row:
    ends = each.interval
    interval = "" if ends is None else f" [{wording.signed(ends[0])}, {wording.signed(ends[1])}]"
    return Row(
        network=wording.network_title(network),
        chosen=wording.repeated(each.chosen),
        random=wording.repeated(each.random),
        gain=f"{wording.signed(each.gain)}{interval}",
        seconds=wording.duration(each.chosen.seconds + each.random.seconds),
    )


def _failures(networks: Mapping[str, ChosenAndRandom], of: str) -> Iterator[tuple[str, str]]:
    for name, each in networks.items():
        for on, result in (("the choice", each.chosen), (f"random {of}", each.random)):
            if result.failed:
                yield f"{wording.network_title(name)} on {on}", result.failed


def _settings(record: Subset) -> list[tuple[str, str]]:
    """How it was made and measured, as names and values."""
    features = record.features or "none"
    if record.vectors and features in ("pixels", record.source):
        features = "the vectors themselves"
    if record.features == "trained":
        network = wording.network_title(record.network)
        features = f"a {network} trained for {wording.images(record.teacher_epochs, 'epoch')}"
    if record.matched:
        features = f"{features}; {record.matched}"
    held_out = f", beside {wording.count(record.held_out)} held out for testing" if record.held_out else ""
    worth = record.worth
    return [
        ("chosen from", f"{record.source}: {wording.count(record.total)}{held_out}"),
        ("how much", str(record.budget)),
        ("rule", record.rule),
        ("features", features),
        ("seed", str(record.seed)),
        *(
            []
            if worth is None
            else [
                ("recipe", recipe_title(worth.recipe)),
                ("training", training_of(worth.recipe, "vector" if record.vectors else "image")),
            ]
        ),
        *(measured_on(record.made_on) if worth is not None else [("machine", each) for each in record.made_on]),
    ]


def _pictures(
    record: Subset,
    chosen: list[int],
    images: Pictured,
    at: Mapping[int, int] | None,
    named: Callable[[int], str],
) -> Pictures:
    labels = np.asarray(images.labels)
    names = class_titles(record.class_names) if record.labelled else ["all"]
    first = np.asarray(images.read(slice(0, 1)))
    _, channels, height, width = first.shape
    reduction = -(-max(height, width) // LARGEST_SIDE)

    def tile(index: int) -> Tile:
        row = index if at is None else at[index]
        number, _, file = named(index).partition(", ")
        words = f"{number}: {names[int(labels[row])]}" if record.labelled else number
        return Tile(data_uri(picture(images, row, reduction)), f"{words}, {file}" if file else words)

    rows = np.array([index if at is None else at[index] for index in chosen], dtype=np.int64)
    by_class = [np.array(chosen)[labels[rows] == label] for label in range(len(names))]
    return Pictures(
        chosen=tuple(
            Strip(_captioned(name, len(members), record), tuple(tile(int(index)) for index in _spread(members)))
            for name, members in list(zip(names, by_class, strict=True))[:MOST_CLASSES]
            if len(members)
        ),
        pairs=tuple(
            Strip(
                ", ".join([*([names[each.label]] if record.labelled else []), f"{each.distance:.3g} apart"]),
                (tile(each.dropped), tile(each.chosen)),
            )
            for each in record.nearest
        ),
        farthest=tuple(tile(each.dropped) for each in record.farthest),
        hardest=tuple(map(tile, record.hardest)),
        large=tile_width(width // reduction, 64),
        small=tile_width(width // reduction, 44),
        aspect=width / height,
        notes=tuple(
            filter(
                None,
                (
                    CHANNEL_NOTES.get(channels, ""),
                    f"The first {MOST_CLASSES} classes are shown." if len(names) > MOST_CLASSES else "",
                    f"Pictures are reduced to 1/{reduction} of their width and height." if reduction > 1 else "",
                ),
            )
        ),
    )


def _captioned(name: str, chosen: int, record: Subset) -> str:
    """The class, and how many of its chosen ones are shown, if not all."""
    some = f"{PER_CLASS} of {wording.count(chosen)}, evenly spread" if chosen > PER_CLASS else ""
    return ": ".join(filter(None, [name if record.labelled or not some else "", some]))


def _spread(members: np.ndarray) -> np.ndarray:
    """At most ``PER_CLASS`` of the chosen of a class, evenly spread."""
    few = min(PER_CLASS, len(members))
    return members[np.linspace(0, len(members) - 1, few).round().astype(int)]
