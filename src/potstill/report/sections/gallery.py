"""The images on the page: which images are shown, and at which size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from potstill.report.charts.pictures import CHANNEL_NOTES, as_rgb, change, change_limit, data_uri, diverging
from potstill.report.images import ImageSet
from potstill.report.run import Run, Section

MOST_PER_CLASS = 10
LARGEST_SIDE = 96
PIXEL_BUDGET = 300_000  # each pixel takes up to 12 bytes of the page: 3 colours of 3 pictures, in base64


@dataclass(frozen=True)
class Tile:
    """One synthetic image as data URIs; ``before`` and ``difference`` are None if the initial set was not kept."""

    after: str
    before: str | None = None
    difference: str | None = None


@dataclass(frozen=True)
class Row:
    """The images of one class: those that are shown, and the total number."""

    name: str
    count: int
    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class Gallery:
    """The images of all classes.

    Attributes:
        rows: one for each class.
        aspect: width divided by height of an image.
        large: width of a tile in CSS pixels on a wide screen, a multiple of the picture's width if that fits.
        small: the same on a phone.
        limit: the change of pixel values, in [0, 1], that is shown in full colour; None without an initial set.
        notes: explanations of the pictures, a sentence each.
    """

    rows: tuple[Row, ...]
    aspect: float
    large: int
    small: int
    limit: float | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class View:
    """The gallery, and why it shows no initial set, where it does not."""

    gallery: Gallery
    uninitialised: str


def view(run: Run) -> View | None:
    """The images of a run; None if it has vectors."""
    if run.after.kind == "vector":
        return None
    return View(make_gallery(run.after, run.before), _uninitialised(run))


def _uninitialised(run: Run) -> str:
    if run.manifest is None:
        return "The folder of the set has no initial set, so no difference can be shown."
    if run.distilled:
        return "The set after distillation. The initial set is not in the folder, so no difference can be shown."
    return "The images of the set were chosen or computed in one step, so there is no initial set."


def make_gallery(after: ImageSet, before: ImageSet | None) -> Gallery:
    """The gallery of a set, limited to a reasonable file size.

    Args:
        after: the distilled set.
        before: the initial set of the same images; None if it was not kept.
    """
    _, channels, height, width = after.pixels.shape
    reduction = choose_reduction(height, width, len(after.class_names))
    per_picture = max(1, height * width // reduction**2)
    most = min(MOST_PER_CLASS, max(1, PIXEL_BUDGET // (per_picture * len(after.class_names))))
    shown = [members[:most] for members in after.members]
    limit = None
    if before is not None:
        every = np.concatenate(shown)
        limit = change_limit(change(before.pixels[every], after.pixels[every]))
    notes = [CHANNEL_NOTES.get(channels, "")]
    if after.formation > 1:
        each = f"{after.formation} × {after.formation} pictures"
        notes.append(f"Each image holds {each}, which are cut out and enlarged before networks are trained on them.")
    if after.soft:
        notes.append("The labels are probabilities: each image is shown with its most probable class.")
    if reduction > 1:
        notes.append(f"Pictures are reduced to 1/{reduction} of their width and height.")
    return Gallery(
        rows=tuple(
            Row(name, len(members), _tiles(after, before, some, limit, reduction))
            for name, members, some in zip(after.titles, after.members, shown, strict=True)
        ),
        aspect=width / height,
        large=tile_width(width // reduction, 96),
        small=tile_width(width // reduction, 64),
        limit=limit,
        notes=tuple(note for note in notes if note),
    )


def choose_reduction(height: int, width: int, classes: int) -> int:
    """The smallest factor of reduction with which a page can hold one image of each class.

    Args:
        height: of an image, in pixels.
        width: of an image, in pixels.
        classes: the number of classes.

    Returns:
        The number by which width and height are divided, at least 1.
    """
    reduction = 1
    while max(height, width) > LARGEST_SIDE * reduction or height * width * classes > PIXEL_BUDGET * reduction**2:
        reduction += 1
    return reduction


def tile_width(width: int, room: int) -> int:
    """The width at which a picture is shown: a whole multiple of its own, so that all pixels have the same size.

    Args:
        width: of the picture, in pixels.
        room: the width that there is, in CSS pixels; all of it is taken if no multiple fits.
    """
    return max(1, room // max(1, width)) * width if 0 < width <= room * 1.2 else room


def _tiles(
    after: ImageSet, before: ImageSet | None, members: np.ndarray, limit: float | None, reduction: int
) -> tuple[Tile, ...]:
    pictures = [data_uri(rgb, reduction) for rgb in as_rgb(after.pixels[members])]
    if before is None or limit is None:
        return tuple(Tile(picture) for picture in pictures)
    earlier = [data_uri(rgb, reduction) for rgb in as_rgb(before.pixels[members])]
    changes = diverging(change(before.pixels[members], after.pixels[members]), limit)
    return tuple(
        Tile(picture, old, data_uri(rgb, reduction))
        for picture, old, rgb in zip(pictures, earlier, changes, strict=True)
    )


SECTION = Section("gallery", view)
