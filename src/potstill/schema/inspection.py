"""``inspection.json``: what a dataset holds, and what deserves a look before it is distilled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from potstill.runtime.text import visible
from potstill.schema import Record
from potstill.schema.account import Account, Kind, SplitAccount
from potstill.schema.fields import Count, Positive
from potstill.schema.manifest import DatasetRecord
from potstill.schema.words import counted, share


@dataclass(frozen=True, kw_only=True)
class Place(Record):
    """One image: the split that it is in, its number there from 0, and its label."""

    split: str
    index: Count
    label: Count


Pair = tuple[Place, Place]


@dataclass(frozen=True, kw_only=True)
class Repeated(Record):
    """Images of a split whose pixels occur a second time.

    Attributes:
        split: the split.
        other: the split in which they occur: another one, or the same.
        images: the number of images of ``split`` that are in ``other``; of the same split, those that repeat an earlier
            one.
        of: the number of images of ``split``.
        kind: what they are.
        examples: the first of them, each with the image that it equals.
    """

    split: str
    other: str
    images: Positive
    of: Positive
    examples: tuple[Pair, ...]
    kind: Kind = "image"

    @property
    def share(self) -> float:
        """The fraction of the split's images."""
        return self.images / self.of

    def __str__(self) -> str:
        verb = "repeats another" if self.images == 1 else "repeat others"
        if self.other != self.split:
            verb = f"{'is' if self.images == 1 else 'are'} also in {self.other}"
        return f"{self.images:,} of {counted(self.of, f'{self.split} {self.kind}')} ({share(self.share)}) {verb}"


@dataclass(frozen=True, kw_only=True)
class Contradictory(Record):
    """Images with the same pixels and different labels, in any splits.

    Attributes:
        images: the number of images.
        examples: the first of them, each with an equal image of another label.
    """

    images: Positive
    examples: tuple[Pair, ...]


@dataclass(frozen=True, kw_only=True)
class SplitPixels(Record):
    """The pixels of a split.

    Attributes:
        split: the split.
        lowest: the lowest value, of 255.
        highest: the highest value, of 255.
        empty: the number of images with hardly any contrast.
        examples: the first of these images.
    """

    split: str
    lowest: Count
    highest: Count
    empty: Count
    examples: tuple[Place, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Inspection(Record):
    """A dataset as it was read and what was found in its images.

    Attributes:
        dataset: the dataset; its account also has the warnings of the inspection.
        mean: of each channel, as networks see it, of pixels in [0, 1].
        std: of each channel, likewise.
        pixels: the pixels of each split that has images; of vectors, none.
        repeated: images that occur twice, by split.
        contradictory: images that occur with two labels; None if there are none.
        published: whether all splits have the sizes that were published; None if these are not known.
    """

    SCHEMA: ClassVar[int | None] = 1
    FILE: ClassVar[str] = "inspection.json"

    dataset: DatasetRecord
    mean: tuple[float, ...]
    std: tuple[float, ...]
    pixels: tuple[SplitPixels, ...]
    repeated: tuple[Repeated, ...] = ()
    contradictory: Contradictory | None = None
    published: bool | None = None

    @property
    def account(self) -> Account:
        """How the dataset was understood."""
        assert self.dataset.account is not None, "an inspection is made with an account"
        return self.dataset.account

    @property
    def splits(self) -> tuple[SplitAccount, ...]:
        """The splits that have images."""
        return self.account.used_splits

    @property
    def empty(self) -> int:
        """The number of images with hardly any contrast."""
        return sum(split.empty for split in self.pixels)

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What was understood and found, as names and values: everything but classes and warnings."""
        if self.account.kind == "vector":
            repeated = "; ".join(map(str, self.repeated)) or "no vector occurs twice, number for number"
            return [*self.account.facts, ("repeated", repeated)]
        lowest, highest = min(p.lowest for p in self.pixels), max(p.highest for p in self.pixels)
        return [
            *self.account.facts,
            *([("range", f"{lowest} to {highest} of 255")] if (lowest, highest) != (0, 255) else []),
            ("mean", ", ".join(f"{value:.4f}" for value in self.mean)),
            ("deviation", ", ".join(f"{value:.4f}" for value in self.std)),
            ("repeated", "; ".join(map(str, self.repeated)) or "no image occurs twice, pixel for pixel"),
            ("near-empty", self.empty_in_words),
        ]

    @property
    def empty_in_words(self) -> str:
        """How many images have hardly any contrast."""
        if not self.empty:
            return "no image"
        return f"{self.empty:,} of {counted(self.dataset.images, 'image')} ({share(self.empty / self.dataset.images)})"

    def summary(self) -> list[str]:
        """The dataset in a few lines, or in one if there is nothing to say beyond that it is as published."""
        account = self.account
        if self.published and not (account.warnings or account.left_out):
            remarks = (visible(f"  noted: {remark}") for remark in account.remarks)
            return [f"{self.dataset.title}, as published", *remarks]
        return self.dataset.lines()

    def __str__(self) -> str:
        width = max(len(name) for name, _ in self.facts)
        facts = [f"  {name:<{width}}  {value}" for name, value in self.facts]
        warnings = [f"warning: {each}" for each in self.account.warnings]
        return "\n".join([self.dataset.title, *(visible(line) for line in (*facts, *warnings))])
