"""``reproduction.json``: the results of a re-run of a published table, next to the published ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from potstill.schema import Record
from potstill.schema.evaluation import NetworkResult, Repeats
from potstill.schema.fields import Amount, Fraction
from potstill.schema.manifest import Status
from potstill.schema.published import Published, PublishedIterations
from potstill.schema.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Outcome(Record):
    """The outcome of one network of one row.

    Attributes:
        row: the label of the row.
        network: the spec of the network.
        dataset: the name of the dataset that it was measured on; empty in older records.
        dataset_fingerprint: the fingerprint of that dataset; empty in older records.
        published: the published accuracy, if there is one.
        measured: the measured accuracies.
        verdict: whether their mean lies inside, above or below the published interval, or why this is not known.
        iterations: iterations done and published; None if nothing is distilled.
        status: how the distillation ended; ``complete`` if nothing is distilled, and in older records.
        seconds: time to distil; None if nothing is distilled.
        scale: the fraction of the published iterations and of the recipe's epochs that were asked for.
        note: further remarks.
        made_on: the machines, precisions and versions of the measurements, in words.
    """

    row: str
    network: str
    dataset: str = ""
    dataset_fingerprint: str = ""
    published: Published | None
    measured: Repeats
    verdict: str
    iterations: PublishedIterations | None = None
    status: Status = "complete"
    seconds: Amount | None = None
    scale: Fraction = 1.0
    note: str = ""
    made_on: list[str] = field(default_factory=list)

    @property
    def unfinished(self) -> bool:
        """Whether the distillation was stopped before its end, so that a further call continues it."""
        return self.status not in ("complete", "diverged")


@dataclass(frozen=True, kw_only=True)
class ReproductionRecord(Record):
    """The part of a table that was re-run.

    Attributes:
        name: the name of the table.
        title: a title of one line.
        source: the publication.
        recipe: the evaluation protocol.
        notes: what differs from the publication, a sentence each.
        outcomes: the outcomes in the order of the table.
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
    """A network of a table, trained on the full data.

    Attributes:
        recipe: the protocol.
        network: the spec of the network.
        dataset_fingerprint: the fingerprint of the dataset.
        result: the repeats so far.
    """

    recipe: Recipe
    network: str
    dataset_fingerprint: str
    result: NetworkResult

    @property
    def protocol(self) -> dict[str, Any]:
        """What two records must have in common for one to continue the other."""
        return {name: value for name, value in self.to_json().items() if name != "result"}
