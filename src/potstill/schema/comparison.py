"""``comparison.json``: several sets side by side, and what the differences between them are worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from potstill.schema import Record
from potstill.schema.evaluation import Repeats, repeats_arguments
from potstill.schema.fields import Amount, Count, Fields, Fraction
from potstill.schema.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class ComparedDataset(Record):
    """What the sets were made from.

    Attributes:
        name: in records.
        fingerprint: of its images and labels.
        train: training images.
        test: test images.
        bytes: of the training images as 8-bit pixels.
    """

    name: str
    fingerprint: str
    train: Count
    test: Count
    bytes: Count


@dataclass(frozen=True, kw_only=True)
class TrainedNetwork(Repeats):
    """A network trained on one of the sets, or on the full data.

    Attributes:
        seconds: to train and test it once, the mean of the repeats.
        epochs: passes over the set.
    """

    seconds: Amount = 0.0
    epochs: Count = 0

    def to_json(self) -> dict[str, Any]:
        """The accuracies with their statistics, seconds and epochs; or the reason for which there are none."""
        if self.failed is not None:
            return {"failed": self.failed}
        return {**super().to_json(), "seconds": self.seconds, "epochs": self.epochs}

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """What ``to_json`` made an entry of.

        Raises:
            UserError: a field is absent or not what it should be.
        """
        if "failed" in fields:
            return cls(failed=fields.value("failed", str))
        costs = {"seconds": fields.value("seconds", Amount), "epochs": fields.value("epochs", Count)}
        return cls(**repeats_arguments(fields), **costs)


@dataclass(frozen=True, kw_only=True)
class ComparedSet(Record):
    """One of the sets.

    Attributes:
        name: its run's folder, without what is common to all.
        method: what made it.
        status: how its run ended.
        ipc: images per class.
        images: all of them.
        bytes: the set's size.
        labels: ``hard`` or ``soft``.
        distilled_seconds: to make it.
        peak_memory_bytes: of making it; 0 where that is not available.
        networks: what each network made of it.
    """

    name: str
    method: str
    status: str
    ipc: Count
    images: Count
    bytes: Count
    labels: str
    distilled_seconds: Amount
    peak_memory_bytes: Count
    networks: dict[str, TrainedNetwork]


@dataclass(frozen=True, kw_only=True)
class Difference(Record):
    """A pair of sets under one network; accuracies are fractions.

    Attributes:
        network: its spec.
        first: a set.
        second: the set that it is compared with.
        mean: accuracy on the first minus that on the second, over the repeats of both.
        ci95: Student's 95 % interval of the mean.
        p: that of the paired t test.
        p_corrected: the same after Holm's correction for all differences.
        repeats: pairs of them.
    """

    network: str
    first: str
    second: str
    mean: float
    ci95: tuple[float, float]
    p: Fraction
    p_corrected: Fraction
    repeats: Count


@dataclass(frozen=True, kw_only=True)
class Reached(Record):
    """The highest whole percent of the validation images that training on every set reaches on the way.

    Attributes:
        accuracy: that accuracy; None where there are no curves to tell it from.
        seconds: how long training on each set takes to reach it.
    """

    accuracy: Fraction | None = None
    seconds: dict[str, Amount] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Its fields; nothing where nothing was reached."""
        return {} if self.accuracy is None else super().to_json()


@dataclass(frozen=True, kw_only=True)
class Comparison(Record):
    """Sets side by side.

    Attributes:
        dataset: what they were made from.
        recipe: one for all.
        seed: of the repeats; None in records that do not tell it.
        initial: what all networks began with; None where each set has weights of its own.
        networks: specs.
        made_on: the machines, precisions and versions of all results; more than one where they differ.
        sets: in the order in which they were named.
        full: networks trained on the full data.
        significance: below it a difference's corrected p value shows it.
        differences: of each pair of sets under each network, where the repeats allow a test.
        reached: by network.
    """

    SCHEMA: ClassVar[int | None] = 1
    FILE: ClassVar[str] = "comparison.json"

    dataset: ComparedDataset
    recipe: Recipe
    seed: int | None = None
    initial: Mapping[str, Any] | None = None
    networks: list[str]
    made_on: list[str]
    sets: list[ComparedSet]
    full: dict[str, TrainedNetwork]
    significance: Fraction
    differences: list[Difference]
    reached: dict[str, Reached]

    @property
    def shown(self) -> list[Difference]:
        """The differences that the repeats show, the largest first."""
        shown = [item for item in self.differences if item.p_corrected < self.significance]
        return sorted(shown, key=lambda item: -abs(item.mean))

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """What ``to_json`` made a record of.

        Raises:
            UserError: a field is absent or not what it should be, or there is no network.
        """
        made = super().from_json(fields)
        if not made.networks:
            fields.refuse("networks", "a list of at least one network")
        return made
