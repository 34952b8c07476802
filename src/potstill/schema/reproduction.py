"""``reproduction.json``: a published table that was re-run, published and measured side by side."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from potstill.schema import Record
from potstill.schema.evaluation import NetworkResult, Repeats
from potstill.schema.fields import Amount, Count
from potstill.schema.recipe import Recipe

Verdict = Literal["inside", "above", "below", "no spread published", "nothing published"]


@dataclass(frozen=True)
class Published(Record):
    """A published accuracy, in percent.

    Attributes:
        mean: as printed.
        std: the deviation printed beside it; None where there is none.
    """

    mean: float
    std: float | None = None

    def __str__(self) -> str:
        """As tables print it."""
        return f"{self.mean:.1f}" if self.std is None else f"{self.mean:.1f} ± {self.std:.1f}"

    def verdict(self, accuracy: float) -> Verdict:
        """Where a measured accuracy (a fraction) lies beside mean ± std."""
        if self.std is None:
            return "no spread published"
        apart = 100 * accuracy - self.mean
        return "inside" if abs(apart) <= self.std else "above" if apart > 0 else "below"


@dataclass(frozen=True, kw_only=True)
class PublishedIterations(Record):
    """Iterations that were done, and those of the published run; both 0 where images are chosen."""

    done: Count
    published: Count


@dataclass(frozen=True, kw_only=True)
class Outcome(Record):
    """What came of one network of one row.

    Attributes:
        row: its label.
        network: the spec.
        dataset: what it was measured on: its name in records; empty in older records, as is its fingerprint.
        dataset_fingerprint: of that.
        published: what was published, if anything was.
        measured: the accuracies.
        verdict: where their mean lies beside the published interval, or why that cannot be said.
        iterations: done and published; None where nothing is distilled.
        seconds: to distil; None where nothing is.
        note: what else came of it.
        made_on: the machines, precisions and versions that the accuracies were measured with, in words.
    """

    row: str
    network: str
    dataset: str = ""
    dataset_fingerprint: str = ""
    published: Published | None
    measured: Repeats
    verdict: str
    iterations: PublishedIterations | None = None
    seconds: Amount | None = None
    note: str = ""
    made_on: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class ReproductionRecord(Record):
    """A table as far as it was re-run.

    Attributes:
        name: of the table.
        title: one line for people.
        source: where it was published.
        recipe: the evaluation protocol.
        notes: what differs from the publication, a sentence each.
        outcomes: in the order of the table.
    """

    SCHEMA: ClassVar[int | None] = 1
    FILE: ClassVar[str] = "reproduction.json"

    name: str
    title: str
    source: str
    recipe: str
    notes: list[str] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class FullDataRecord(Record):
    """A network of a table trained on the full data.

    Attributes:
        recipe: how.
        network: its spec.
        dataset_fingerprint: of the dataset.
        result: the repeats so far.
    """

    recipe: Recipe
    network: str
    dataset_fingerprint: str
    result: NetworkResult

    @property
    def protocol(self) -> dict[str, Any]:
        """What two such records must agree in for one to continue the other."""
        return {name: value for name, value in self.to_json().items() if name != "result"}
