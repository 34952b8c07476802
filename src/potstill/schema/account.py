"""How a dataset was understood: printed once when it is read, kept in the manifest, shown on the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from potstill.runtime.text import visible
from potstill.schema import Record
from potstill.schema.fields import Count, Positive
from potstill.schema.words import between, counted

Kind = Literal["image", "vector"]


@dataclass(frozen=True, kw_only=True)
class SplitAccount(Record):
    """One split.

    Attributes:
        name: ``train``, ``validation`` or ``test``.
        origin: where its images come from, such as ``folder val`` or ``a fifth of each class of train, held out``.
        class_sizes: the number of images of each class.
        held_out: whether Potstill held it out of another split, because it was not published.
    """

    name: str
    origin: str
    class_sizes: tuple[Count, ...]
    held_out: bool = False

    @property
    def images(self) -> int:
        """The number of images."""
        return sum(self.class_sizes)

    def in_words(self, kind: Kind = "image") -> str:
        """How many images or vectors there are, and where they come from."""
        return f"{counted(self.images, kind)}, {between(self.class_sizes)} per class, from {self.origin}"

    def __str__(self) -> str:
        return f"{self.name} {self.images:,}" + (f" ({self.origin})" if self.images else "")


@dataclass(frozen=True, kw_only=True)
class LeftOut(Record):
    """What was found and not read.

    Attributes:
        count: how many.
        what: in the plural, such as ``hidden files``.
        why: the reason, as the rest of a sentence; empty if ``what`` says it.
    """

    count: Positive
    what: str
    why: str = ""

    def __str__(self) -> str:
        return f"{self.what} ({self.count:,})" + (f": {self.why}" if self.why else "")


@dataclass(frozen=True, kw_only=True)
class Account(Record):
    """What was found, and what was made of it.

    Attributes:
        layout: the layout that was recognised, such as ``class folders`` or ``idx files``.
        class_names: the classes, in the order of their labels.
        splits: the splits that are used.
        kind: what the dataset holds.
        pixels: the stored pixels and their scaling, such as ``12 bits (0 to 4,063) in 16-bit PNG, divided by 4,095``.
        left_out: what was not read, and why.
        remarks: further decisions, one sentence each: the columns, the classes that were dropped, alpha.
        warnings: what makes results misleading, one sentence each.
    """

    layout: str
    class_names: tuple[str, ...]
    splits: tuple[SplitAccount, ...]
    pixels: str
    kind: Kind = "image"
    left_out: tuple[LeftOut, ...] = ()
    remarks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def used_splits(self) -> tuple[SplitAccount, ...]:
        """The splits that have images."""
        return tuple(split for split in self.splits if split.images)

    @property
    def facts(self) -> list[tuple[str, str]]:
        """The account as names and values, without the classes and the warnings."""
        return [
            ("read as", self.layout),
            *((split.name, split.in_words(self.kind)) for split in self.used_splits),
            *([(self._values, self.pixels)] if self.pixels else []),
            *(("left out", str(item)) for item in self.left_out),
            *(("noted", remark) for remark in self.remarks),
        ]

    @property
    def _values(self) -> str:
        return "pixels" if self.kind == "image" else "numbers"

    def with_sizes(self, sizes: Mapping[str, tuple[int, ...]]) -> Account:
        """The account of splits that were changed after they were read.

        Args:
            sizes: the number of images of each class, by the name of the split.
        """
        splits = (replace(split, class_sizes=sizes.get(split.name, split.class_sizes)) for split in self.splits)
        return replace(self, splits=tuple(splits))

    def lines(self) -> list[str]:
        """The account in a few lines, without the classes; names from outside are made visible."""
        lines = [
            f"read as {self.layout}" + (f"; {self._values}: {self.pixels}" if self.pixels else ""),
            ", ".join(map(str, self.splits)),
            *([f"left out: {'; '.join(map(str, self.left_out))}"] if self.left_out else []),
            *(f"noted: {remark}" for remark in self.remarks),
            *(f"warning: {warning}" for warning in self.warnings),
        ]
        return [visible(line) for line in lines]
