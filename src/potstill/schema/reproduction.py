"""``reproduction.json``: the results of a re-run of a published table, next to the published ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from potstill.schema import Record
from potstill.schema.evaluation import NetworkResult, Repeats
from potstill.schema.fields import Amount, Count, Fraction, Positive
from potstill.schema.manifest import Status
from potstill.schema.published import Published, PublishedIterations, PublishedSearch
from potstill.schema.recipe import Recipe

RANDOM = "random"
"""The method whose rows are the baseline."""

ANOTHER = "another dataset"
"""The verdict of an outcome on another dataset than the published one."""


@dataclass(frozen=True, kw_only=True)
class Outcome(Record):
    """The outcome of one network of one row.

    Attributes:
        row: the label of the row.
        network: the spec of the network.
        method: the name of the method that made the set; empty on the full data, and in older records.
        ipc: the images per class of the set; 0 on the full data, and in older records.
        folder: the folder of the row's run, from that of the record; empty on the full data, and in older records.
        set_sha256: the SHA-256 of the set's tensors; empty on the full data, and in older records.
        dataset: the name of the dataset that it was measured on; empty in older records.
        dataset_fingerprint: the fingerprint of that dataset; empty in older records.
        published: the published accuracy, if there is one.
        measured: the measured accuracies.
        verdict: whether their mean lies inside, above or below the published interval, or why this is not known.
        iterations: iterations done and published; None if nothing is distilled.
        status: how the distillation ended; ``complete`` if nothing is distilled, and in older records.
        seconds: time to distil; None if nothing is distilled.
        training_seconds: time to train the network once and to test it; None in older records, and without a result.
        scale: the fraction of the published iterations and of the recipe's epochs that were asked for.
        note: further remarks.
        made_on: the machines, precisions and versions of the measurements, in words.
    """

    row: str
    network: str
    method: str = ""
    ipc: Count = 0
    folder: str = ""
    set_sha256: str = ""
    dataset: str = ""
    dataset_fingerprint: str = ""
    published: Published | None
    measured: Repeats
    verdict: str
    iterations: PublishedIterations | None = None
    status: Status = "complete"
    seconds: Amount | None = None
    training_seconds: Amount | None = None
    scale: Fraction = 1.0
    note: str = ""
    made_on: list[str] = field(default_factory=list)

    @property
    def distilled(self) -> PublishedIterations | None:
        """The iterations of a set that was distilled; None on the full data, and if images were chosen."""
        return self.iterations if self.iterations is not None and self.iterations.published else None


@dataclass(frozen=True, kw_only=True)
class Searched(Record):
    """An architecture search with the set of a row.

    Attributes:
        row: the label of the row.
        published: what was published.
        comparable: whether it was on the same dataset.
        candidates: how many networks were trained on the set.
        repeats: trainings of each.
        found: the name of the network that the search found; None if every candidate failed.
        on_set: its accuracies on the validation split, trained on the set.
        seconds: time to train and validate all candidates, in all repeats.
        full: its accuracies on the test split, trained on the full data.
        full_seconds: time of a training on the full data; None without a result.
        scale: the fraction of the recipe's epochs that was asked for.
        status: how the distillation of the set ended.
        note: further remarks.
        made_on: the machines, precisions and versions of all trainings, in words.
    """

    row: str
    published: PublishedSearch
    comparable: bool
    candidates: Count
    repeats: Positive = 1
    found: str | None
    on_set: Repeats
    seconds: Amount
    full: Repeats
    full_seconds: Amount | None = None
    scale: Fraction = 1.0
    status: Status = "complete"
    note: str = ""
    made_on: list[str] = field(default_factory=list)


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
        searches: the architecture searches in the order of the table.
    """

    SCHEMA: ClassVar[int | None] = 1
    FILE: ClassVar[str] = "reproduction.json"

    name: str
    title: str
    source: str
    recipe: str
    notes: list[str] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    searches: list[Searched] = field(default_factory=list)

    @property
    def unfinished(self) -> list[str]:
        """The labels of the rows whose distillation was stopped, so that a further call continues it."""
        made = (*self.outcomes, *self.searches)
        return list(dict.fromkeys(each.row for each in made if each.status not in ("complete", "diverged")))

    def random(self, outcome: Outcome) -> Outcome | None:
        """What random real images of equal number reach with the same network; None if the table has no such row."""
        if outcome.method in ("", RANDOM):
            return None
        equal = (outcome.network, outcome.ipc, outcome.dataset_fingerprint, outcome.scale)
        return next(
            (
                each
                for each in self.outcomes
                if each.method == RANDOM
                and (each.network, each.ipc, each.dataset_fingerprint, each.scale) == equal
                and each.measured.usable
            ),
            None,
        )


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
