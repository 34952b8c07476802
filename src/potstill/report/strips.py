"""Strips of pictures: the first image of each class of several sets, one set below the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from potstill.report.charts.pictures import CHANNEL_NOTES, as_rgb, change, change_limit, data_uri, diverging
from potstill.report.images import ImageSet
from potstill.report.sections.gallery import choose_reduction, tile_width

MOST_CLASSES = 20


@dataclass(frozen=True)
class Shown:
    """A set, and how it began; ``before`` is None if the initial set is not shown."""

    after: ImageSet
    before: ImageSet | None = None


@dataclass(frozen=True)
class Strip:
    """One picture for each class, with the name of the class."""

    name: str
    pictures: tuple[tuple[str, Markup], ...]


@dataclass(frozen=True)
class Strips:
    """The pictures of all sets.

    Attributes:
        strips: one for each set, or three for a set that is shown with its beginning.
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


def make_strips(sets: Mapping[str, Shown], notes: Sequence[str] = ()) -> Strips | None:
    """Show the first image of each class of each set.

    Args:
        sets: the sets by name, with equal classes.
        notes: further explanations, a sentence each.

    Returns:
        The strips; of a set with its beginning first that, then the set, then the change. None without any set.
    """
    if not sets:
        return None
    first = next(iter(sets.values())).after
    _, channels, height, width = first.pixels.shape
    classes = min(len(first.titles), MOST_CLASSES)
    cut = {name: _Cut.of(shown, classes) for name, shown in sets.items()}
    reduction = choose_reduction(height, width, sum(each.pictures for each in cut.values()))
    changes = [each.change.ravel() for each in cut.values() if each.change is not None]
    limit = change_limit(np.concatenate(changes)) if changes else None
    of = f"the first {MOST_CLASSES} of {len(first.titles)} classes" if classes < len(first.titles) else "each class"
    return Strips(
        strips=tuple(strip for name, each in cut.items() for strip in each.strips(name, limit, reduction)),
        aspect=width / height,
        large=tile_width(width // reduction, 72),
        small=tile_width(width // reduction, 48),
        notes=(
            f"The first image of {of} in each set.",
            *([] if limit is None else [_legend(limit)]),
            *([CHANNEL_NOTES[channels]] if channels in CHANNEL_NOTES else []),
            *notes,
        ),
    )


def _legend(limit: float) -> str:
    return (
        "Change: blue became darker, grey is unchanged, amber became brighter. The strongest colours stand for a "
        f"change of {limit:.2f} of the pixel range or more, in all sets."
    )


@dataclass(frozen=True)
class _Cut:
    """The first image of each class of one set, float32 (N, C, H, W) in [0, 1].

    Attributes:
        titles: the name of the class of each image.
        after: the images.
        before: the same images before distillation; None if they are not shown.
    """

    titles: tuple[str, ...]
    after: np.ndarray
    before: np.ndarray | None

    @classmethod
    def of(cls, shown: Shown, classes: int) -> _Cut:
        """Those of a set, of at most so many classes."""
        members = shown.after.members
        labels = [label for label, some in enumerate(members) if len(some)][:classes]
        indices = np.array([members[label][0] for label in labels], dtype=np.int64)
        return cls(
            titles=tuple(shown.after.titles[label] for label in labels),
            after=shown.after.pixels[indices],
            before=None if shown.before is None else shown.before.pixels[indices],
        )

    @property
    def pictures(self) -> int:
        """The number of pictures in its strips."""
        return len(self.titles) * (1 if self.before is None else 3)

    @property
    def change(self) -> np.ndarray | None:
        """The change of each pixel, (N, H, W); None without a beginning."""
        return None if self.before is None else change(self.before, self.after)

    def strips(self, name: str, limit: float | None, reduction: int) -> list[Strip]:
        """The strip of the set; or of its beginning, the set and the change, of which ``limit`` has full colour."""
        if self.before is None or self.change is None or limit is None:
            return [self._strip(name, as_rgb(self.after), reduction)]
        return [
            self._strip(f"{name}: before", as_rgb(self.before), reduction),
            self._strip(f"{name}: after", as_rgb(self.after), reduction),
            self._strip(f"{name}: change", diverging(self.change, limit), reduction),
        ]

    def _strip(self, name: str, colours: np.ndarray, reduction: int) -> Strip:
        pictures = [data_uri(rgb, reduction) for rgb in colours]
        return Strip(name, tuple(zip(self.titles, pictures, strict=True)))
