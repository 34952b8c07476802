"""``selection.json``: which part of a dataset was chosen, by what rule, and what it is worth beside a random part."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from potstill.runtime.errors import UserError
from potstill.runtime.files import sha256
from potstill.runtime.reading import open_regular
from potstill.schema import Record
from potstill.schema.evaluation import NetworkResult
from potstill.schema.fields import Amount, Count, Fraction, Positive
from potstill.schema.recipe import Recipe
from potstill.schema.statistics import welch_interval


@dataclass(frozen=True, kw_only=True)
class Budget(Record):
    """How much is chosen: one of the three.

    Attributes:
        fraction: the part of all.
        count: the number of all.
        per_class: the number of each class.

    Raises:
        UserError: none or several are given, or one is out of range.
    """

    fraction: Fraction | None = None
    count: Positive | None = None
    per_class: Positive | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("fraction", "count", "per_class") if getattr(self, name) is not None]
        if len(given) != 1:
            said = "several are given" if given else "none is given"
            raise UserError(f"one of `fraction`, `count` and `ipc` says how much to choose; {said}", "give one of them")
        if self.fraction is not None and not 0 < self.fraction <= 1:
            raise UserError(f"`fraction={self.fraction:g}` must be above 0 and at most 1", "use 10%, for example")
        for name, value in (("count", self.count), ("ipc", self.per_class)):
            if value is not None and value < 1:
                raise UserError(f"`{name}={value}` is too small", f"use `{name}=1` or more")

    def __str__(self) -> str:
        """Such as ``10 %``, ``500`` or ``10 per class``."""
        if self.fraction is not None:
            return f"{100 * self.fraction:.12g} %"
        return f"{self.count:,}" if self.count is not None else f"{self.per_class:,} per class"

    def counts(self, sizes: Sequence[int], names: Sequence[str]) -> tuple[int, ...]:
        """How many are chosen of each class.

        A fraction or a number is divided in proportion to the sizes of the classes, by largest remainders; of equal
        ones the first is rounded up.

        Args:
            sizes: of the classes.
            names: of the classes, for messages.

        Raises:
            UserError: a class would be left empty, or has fewer members.
        """
        total = sum(sizes)
        if self.per_class is not None:
            for size, name in zip(sizes, names, strict=True):
                if size < self.per_class:
                    whose = f"class {name!r} has" if name else "there are"
                    raise UserError(f"{whose} {size:,}, fewer than {self.per_class:,}", f"use `ipc={size}` or less")
            return (self.per_class,) * len(sizes)
        wanted = self.count if self.count is not None else max(round((self.fraction or 0) * total), 1)
        if wanted > total:
            raise UserError(f"`count={wanted}` is more than there are: {total:,}", f"use `count={total}` or less")
        counts = _shared(wanted, sizes)
        if empty := [label for label, count in enumerate(counts) if not count and sizes[label]]:
            least = next(number for number in range(wanted + 1, total + 1) if 0 not in _shared(number, sizes))
            option = (
                f"count={least}" if self.count is not None else f"fraction={math.ceil(1e4 * least / total) / 1e4:g}"
            )
            raise UserError(
                f"{self} of {total:,} leaves {len(empty)} of {len(sizes)} classes empty, {names[empty[0]]!r} first",
                f"use `{option}` or more, or `ipc=1`",
            )
        return tuple(counts)


def _shared(wanted: int, sizes: Sequence[int]) -> list[int]:
    """A number, divided in proportion to sizes by largest remainders; of equal ones the first is rounded up."""
    total = sum(sizes)
    counts = [wanted * size // total for size in sizes]
    by_remainder = sorted(range(len(sizes)), key=lambda label: -(wanted * sizes[label] % total))
    for label in by_remainder[: wanted - sum(counts)]:
        counts[label] += 1
    return counts


@dataclass(frozen=True, kw_only=True)
class Neighbour(Record):
    """One that was not chosen, and the nearest chosen one of its class.

    Attributes:
        dropped: the index of the one.
        chosen: the index of the other.
        label: their class.
        distance: the Euclidean distance of their features.
    """

    dropped: Count
    chosen: Count
    label: Count
    distance: Amount


@dataclass(frozen=True, kw_only=True)
class ChosenAndRandom(Record):
    """A network trained on what was chosen, and on as many random images of each class.

    Attributes:
        chosen: the results of the one.
        random: those of the other, with other images in each repeat.
    """

    chosen: NetworkResult
    random: NetworkResult

    @property
    def usable(self) -> bool:
        """Whether both have results."""
        return self.chosen.usable and self.random.usable

    @property
    def gain(self) -> float:
        """The difference of the mean accuracies, chosen less random."""
        return self.chosen.mean - self.random.mean

    @property
    def interval(self) -> tuple[float, float] | None:
        """Welch's 95 % interval of the gain; None for a single repeat."""
        return welch_interval(self.chosen.accuracies, self.random.accuracies)


@dataclass(frozen=True, kw_only=True)
class Worth(Record):
    """What the choice is worth.

    Attributes:
        recipe: how networks were trained.
        networks: the results by the spec of the network.
    """

    recipe: Recipe
    networks: dict[str, ChosenAndRandom] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Subset(Record):
    """A choice from a dataset or from vectors.

    Attributes:
        source: what was chosen from, as it was named.
        fingerprint: the SHA-256 of the dataset or of the file of vectors.
        vectors: whether it was vectors, and not images.
        total: how many there were to choose from.
        held_out: how many of the published images were held out for testing, and could not be chosen.
        rule: the name of the selection.
        features: what it looked at: ``pixels``, or the numbers of vectors; ``trained``, a file of vectors, a pretrained
            model or a folder of experts; empty for nothing.
        features_sha256: of that file, or of the weights; empty for what is not in files.
        matched: how the rows of a file of features were matched to what was chosen from, in words; otherwise empty.
        network: the spec of the network that was trained for it, or of the experts; empty without one.
        teacher_epochs: of that training.
        budget: how much was to be chosen.
        seed: seed of all random draws.
        class_names: the names of the classes; a single empty one without labels.
        class_sizes: how many there were of each.
        counts: how many were chosen of each.
        table: the name of the table of what was chosen, beside this file.
        table_sha256: of that table.
        seconds: time to choose.
        compared: how many of those that were not chosen were compared with all that were, evenly spread.
        nearest: of these the ones nearest to a chosen one: perhaps duplicates.
        farthest: of these the ones farthest from any that was chosen.
        hardest: the indices of the hardest that were not chosen, by the area under the margin; empty if no network was
            trained.
        copied_to: the folder with copies of the chosen files, or with links to them; empty without one.
        links: whether they are links.
        worth: what the choice is worth; None if it was not measured.
        made_on: the machines and versions that chose, in words.
    """

    SCHEMA: ClassVar[int | None] = 1
    FILE: ClassVar[str] = "selection.json"
    TABLE: ClassVar[str] = "selected.csv"

    source: str
    fingerprint: str
    vectors: bool = False
    total: Positive
    held_out: Count = 0
    rule: str
    features: str = ""
    features_sha256: str = ""
    matched: str = ""
    network: str = ""
    teacher_epochs: Count = 0
    budget: Budget
    seed: int
    class_names: tuple[str, ...]
    class_sizes: tuple[Count, ...]
    counts: tuple[Count, ...]
    table: str = TABLE
    table_sha256: str = ""
    seconds: Amount = 0.0
    compared: Count = 0
    nearest: list[Neighbour] = field(default_factory=list)
    farthest: list[Neighbour] = field(default_factory=list)
    hardest: list[Count] = field(default_factory=list)
    copied_to: str = ""
    links: bool = False
    worth: Worth | None = None
    made_on: list[str] = field(default_factory=list)

    @property
    def chosen(self) -> int:
        """How many were chosen."""
        return sum(self.counts)

    def chosen_numbers(self, folder: Path) -> list[int]:
        """The published numbers of what was chosen, from the table in a folder.

        Raises:
            UserError: the table is not the one that this record describes.
        """
        table = folder / self.table
        content = b""
        with suppress(OSError), open_regular(table) as stream:
            content = stream.read()
        if sha256(content) != self.table_sha256:
            raise UserError(
                f"{table} is not the table that {folder / self.FILE} describes", "restore it, or choose another `out`"
            )
        rows = csv.DictReader(io.StringIO(content.decode("utf-8", "surrogateescape")))
        return [int(row["index"]) for row in rows]

    @property
    def left_out(self) -> int:
        """How many were not chosen."""
        return self.total - self.chosen

    @property
    def labelled(self) -> bool:
        """Whether there are classes."""
        return self.class_names != ("",)
