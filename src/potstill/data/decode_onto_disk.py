"""From the encoded images of a dataset to a decoded copy on disk, with a few images in memory at a time.

Each image is decoded once, and written if it has the form in which all will be stored. What that form is depends on all
images: on the number that is white, the channels, and whether alpha is kept. The images of another form, if there are
any, are decoded a second time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from potstill.data.decode import (
    Named,
    animation_remarks,
    decoders,
    flattening_remarks,
    has_alpha,
    in_order,
    judge_alpha,
)
from potstill.data.decoded_copy import Draft, Shape
from potstill.data.found import Content
from potstill.data.pixels import Extent, Kind, WhiteLevels, judge
from potstill.data.raster import Raster, read_raster
from potstill.data.shaping import check_same_size, richest, with_channels
from potstill.runtime.errors import UserError
from potstill.runtime.progress import Pace, Progress

Numbered = tuple[int, Content, str]
"""The number of an image in its split, its content, and its name in errors."""


@dataclass(frozen=True)
class Encodings:
    """The encoded images of one split; ``read`` may be called several times."""

    count: int
    read: Callable[[], Iterable[Named]]

    def numbered(self, split: str) -> Iterator[Numbered]:
        """The images with their numbers.

        Raises:
            UserError: there are more or fewer than ``count``.
        """
        number = -1
        for number, (content, where) in enumerate(self.read()):
            if number < self.count:
                yield number, content, where
        if (found := number + 1) != self.count:
            many = "more" if found > self.count else f"{found:,}"
            raise UserError(
                f"split {split}: {many} images could be read for {self.count:,} labels", "restore the files"
            )


class Written(NamedTuple):
    """A copy of which the images are written, and what was decided for all of them, in words."""

    draft: Draft
    pixels: str
    remarks: tuple[str, ...]


def decode_onto_disk(
    encoded: Mapping[str, Encodings],
    begin: Callable[[Mapping[str, Shape]], Draft],
    first: Raster,
    *,
    image_size: int | None,
    channels: int | None,
    progress: Progress,
) -> Written:
    """Decode the images of all splits into a copy, as :func:`potstill.data.decode.decode_splits` would in memory.

    Args:
        encoded: the images of each split.
        begin: begins a copy for images of given shapes, in place of an earlier one.
        first: one of the images, whose form all others probably have.
        image_size: as in ``decode_splits``.
        channels: as in ``decode_splits``.
        progress: callback for progress messages.

    Raises:
        UserError: as ``decode_splits``.
        OSError: the images cannot be written.
    """
    survey, total = _Survey(encoded), sum(images.count for images in encoded.values())
    draft = begin({split: (images.count, *first.shape) for split, images in encoded.items()})

    def once(split: str, chunk: list[Numbered]) -> list[_Seen]:
        seen = []
        for number, content, where in chunk:
            raster = read_raster(content, where, image_size=image_size, channels=channels)
            if written := raster.extent is None and raster.shape == first.shape:
                draft.put(split, number, _pixels(raster)[None])
            seen.append(_Seen.of(number, where, raster, written))
        return seen

    with decoders() as pool:
        counter = _Counter("decoding", total, progress)
        for split, images in encoded.items():
            for image in in_order(pool, partial(once, split), images.numbered(split)):
                survey.add(split, image)
                counter.add_one()
        without_alpha, alpha_remarks = judge_alpha(survey.with_alpha, survey.images)
        scale = survey.scale(without_alpha)
        shapes = {split: survey.shape(split, without_alpha) for split in encoded}
        if any(shape[1:] != first.shape for shape in shapes.values() if shape[0]):
            draft = begin(shapes)
            survey.forget_what_is_written()

        def again(split: str, chunk: list[Numbered]) -> list[None]:
            for number, content, where in chunk:
                raster = read_raster(content, where, image_size=image_size, channels=channels, white=scale.white)
                pixels = _pixels(raster)[:-1] if without_alpha and has_alpha(raster.shape[0]) else _pixels(raster)
                draft.put(split, number, with_channels(pixels, shapes[split][1])[None])
            return [None] * len(chunk)

        counter = _Counter("decoding once more", sum(rest.sum() for rest in survey.unwritten.values()), progress)
        for split, rest in survey.unwritten.items():
            if rest.any():
                some = (image for image in encoded[split].numbered(split) if rest[image[0]])
                for _ in in_order(pool, partial(again, split), some):
                    counter.add_one()
    flattened = flattening_remarks(survey.flattened, survey.images)
    return Written(draft, scale.words, (*animation_remarks(survey.animated), *flattened, *alpha_remarks))


class _Seen(NamedTuple):
    """What is noted of an image when it is decoded for the first time."""

    number: int
    where: str
    shape: tuple[int, int, int]
    extent: Extent
    alpha: Extent | None
    animated: bool
    flattened: bool
    written: bool

    @classmethod
    def of(cls, number: int, where: str, raster: Raster, written: bool) -> _Seen:
        extent, alpha = raster.extent, None
        if extent is None:
            colours = _pixels(raster)
            if has_alpha(raster.shape[0]):
                colours, alpha = colours[:-1], _bytes(colours[-1], where)
            extent = _bytes(colours, where)
        return cls(number, where, raster.shape, extent, alpha, raster.animated, raster.flattened, written)


class _Survey:
    """What is known of all images.

    Args:
        encoded: the images of each split.
    """

    def __init__(self, encoded: Mapping[str, Encodings]) -> None:
        self.images = self.with_alpha = self.animated = self.flattened = 0
        self.unwritten = {split: np.ones(images.count, bool) for split, images in encoded.items()}
        self._of = {split: _OfSplit() for split in encoded}

    def add(self, split: str, image: _Seen) -> None:
        """Take note of an image.

        Raises:
            UserError: it has another size than the first of its split.
        """
        self._of[split].add(image)
        self.images += 1
        self.with_alpha += has_alpha(image.shape[0])
        self.animated += image.animated
        self.flattened += image.flattened
        self.unwritten[split][image.number] = not image.written

    def forget_what_is_written(self) -> None:
        """Every image is to be written once more."""
        for rest in self.unwritten.values():
            rest[:] = True

    def scale(self, without_alpha: bool) -> WhiteLevels:
        """What white is."""
        return judge({split: found for split, of in self._of.items() if (found := of.extents(split, without_alpha))})

    def shape(self, split: str, without_alpha: bool) -> Shape:
        """(N, C, H, W) of the images of a split as they are stored."""
        return len(self.unwritten[split]), *self._of[split].shape(without_alpha)


@dataclass
class _OfSplit:
    """What is known of the images of one split."""

    channels: Counter[int] = field(default_factory=Counter)
    first: _Seen | None = None
    colours: Extent | None = None
    alpha: Extent | None = None
    others: list[Extent] = field(default_factory=list)
    kinds: list[Kind] = field(default_factory=list)

    def add(self, image: _Seen) -> None:
        self.first = self.first or image
        check_same_size(self.first.shape, self.first.where, image.shape, image.where)
        self.channels[image.shape[0]] += 1
        if image.extent.kind not in self.kinds:
            self.kinds.append(image.extent.kind)
        if image.extent.kind != "bytes":
            self.others.append(image.extent)
        else:
            self.colours = _wider(self.colours, image.extent)
        if image.alpha is not None:
            self.alpha = _wider(self.alpha, image.alpha)

    def extents(self, split: str, without_alpha: bool) -> list[Extent]:
        found = self.colours
        if found is None:
            return self.others
        if self.alpha is not None and (self.others or not without_alpha):
            found = _wider(found, self.alpha)
        if self.others:
            # Each kind where it was seen first.
            return sorted([found, *self.others], key=lambda extent: self.kinds.index(extent.kind))
        if self.alpha is not None and not without_alpha and not all(map(has_alpha, self.channels)):
            found = _wider(found, replace(found, high=255))  # alpha that is missing is opaque
        return [Extent("bytes", "uint8", found.low, found.high, split)]

    def shape(self, without_alpha: bool) -> tuple[int, int, int]:
        if self.first is None:
            return 1, 1, 1
        kept = (channels - (without_alpha and has_alpha(channels)) for channels in self.channels)
        return richest(kept), self.first.shape[1], self.first.shape[2]


class _Counter:
    """Counts images, and reports the number from time to time."""

    def __init__(self, doing: str, total: int, progress: Progress) -> None:
        self._doing, self._total, self._progress = doing, total, progress
        self._done, self._pace = 0, Pace()

    def add_one(self) -> None:
        self._done += 1
        if self._pace.due():
            left = self._pace.left(self._done, self._total)
            self._progress(f"{self._doing}: {self._done:,} of {self._total:,} images, {left}")


def _pixels(raster: Raster) -> np.ndarray:
    assert raster.pixels is not None
    return raster.pixels


def _bytes(values: np.ndarray, where: str) -> Extent:
    return Extent("bytes", "uint8", values.min().item(), values.max().item(), where)


def _wider(extent: Extent | None, other: Extent) -> Extent:
    """The range of both; the brighter of them gives its name."""
    if extent is None:
        return other
    where = other.where if other.high > extent.high else extent.where
    return Extent(extent.kind, extent.container, min(extent.low, other.low), max(extent.high, other.high), where)
