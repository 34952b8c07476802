"""The images of the sets that are compared, read from their runs as far as these are still there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup

from potstill.report.charts.pictures import CHANNEL_NOTES, as_rgb, data_uri
from potstill.report.images import ImageSet, read_images
from potstill.report.sections.gallery import choose_reduction, tile_width
from potstill.runtime.errors import UserError
from potstill.schema.comparison import ComparedSet, Comparison
from potstill.schema.run_folder import RunPaths

MOST_CLASSES = 20


@dataclass(frozen=True)
class Strip:
    """The images of one set: the first one of each class, with the name of the class."""

    name: str
    pictures: tuple[tuple[str, Markup], ...]


@dataclass(frozen=True)
class Images:
    """The images of all sets.

    Attributes:
        strips: one for each set whose images are there.
        aspect: width divided by height of an image.
        large: width of a picture in CSS pixels on a wide screen.
        small: the same on a phone.
        notes: explanations, a sentence each.
    """

    strips: tuple[Strip, ...]
    aspect: float
    large: int
    small: int
    notes: tuple[str, ...]


def compared_images(record: Comparison, folder: Path) -> Images | None:
    """The images of the sets of a comparison.

    Args:
        record: the comparison.
        folder: the folder of its record, from which the paths of the runs start.

    Returns:
        The first image of each class of each set; None if no set is there as it was compared.
    """
    found = {item.name: images for item in record.sets if (images := _images(item, folder)) is not None}
    if not found:
        return None
    first = next(iter(found.values()))
    _, channels, height, width = first.pixels.shape
    classes = min(len(first.titles), MOST_CLASSES)
    reduction = choose_reduction(height, width, classes * len(found))
    absent = [item.name for item in record.sets if item.name not in found]
    of = f"the first {MOST_CLASSES} of {len(first.titles)} classes" if classes < len(first.titles) else "each class"
    return Images(
        strips=tuple(Strip(name, _pictures(images, classes, reduction)) for name, images in found.items()),
        aspect=width / height,
        large=tile_width(width // reduction, 72),
        small=tile_width(width // reduction, 48),
        notes=(
            f"The first image of {of} in each set.",
            *([CHANNEL_NOTES[channels]] if channels in CHANNEL_NOTES else []),
            *([f"Not shown, because the run was changed or removed: {', '.join(absent)}."] if absent else []),
        ),
    )


def _images(item: ComparedSet, folder: Path) -> ImageSet | None:
    """The images of a set, if its run still has the set that was compared."""
    if not item.folder:
        return None
    try:
        images = read_images(RunPaths(folder / item.folder).synthetic)
    except UserError:
        return None
    return images if images.tensors_sha256 == item.set_sha256 else None


def _pictures(images: ImageSet, classes: int, reduction: int) -> tuple[tuple[str, Markup], ...]:
    members = [(title, some[0]) for title, some in zip(images.titles, images.members, strict=True) if len(some)]
    shown = members[:classes]
    pictures = as_rgb(images.pixels[np.array([index for _, index in shown], dtype=np.int64)])
    return tuple((title, data_uri(rgb, reduction)) for (title, _), rgb in zip(shown, pictures, strict=True))
