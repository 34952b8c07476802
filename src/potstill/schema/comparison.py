"""``comparison.json``: the results of several sets, and the tests of their differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from potstill.schema import Record
from potstill.schema.applications import LearnedDataset
from potstill.schema.evaluation import Repeats, repeats_arguments
from potstill.schema.fields import Amount, Count, Fields, Fraction
from potstill.schema.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class ComparedDataset(LearnedDataset):
    """The dataset that the sets were made from.

    Attributes:
        bytes: the size of the training images as 8-bit pixels, of vectors as 32-bit numbers.
    """

    bytes: Count


@dataclass(frozen=True, kw_only=True)
class TrainedNetwork(Repeats):
    """A network trained on one of the sets, or on the full data.

    Attributes:
        seconds: time to train and test it once, the mean of the repeats.
        epochs: passes over the set.
    """

    seconds: Amount = 0.0
    epochs: Count = 0

    def to_json(self) -> dict[str, Any]:
        """The accuracies with their statistics, seconds and epochs; or the reason of the failure."""
        if self.failed is not None:
            return {"failed": self.failed}
        return {**super().to_json(), "seconds": self.seconds, "epochs": self.epochs}

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """The entry that ``to_json`` wrote.

        Raises:
            UserError: a field is absent or invalid.
        """
        if "failed" in fields:
            return cls(failed=fields.value("failed", str))
        costs = {"seconds": fields.value("seconds", Amount), "epochs": fields.value("epochs", Count)}
        return cls(**repeats_arguments(fields), **costs)


@dataclass(frozen=True, kw_only=True)
class ComparedSet(Record):
    """One of the sets.

    Attributes:
        name: a short name: the last parts of its path.
        method: the method that made it, ``imported`` of a set of another program; None if it is not recorded.
        status: how its run ended; None, like all that only a run records, if it is not in the folder of a run.
        ipc: images per class.
        images: the number of images.
        bytes: the size of the set.
        labels: ``hard`` or ``soft``.
        distilled_seconds: the time that the run took; None without a run.
        peak_memory_bytes: the peak memory of the run, 0 if it is not available; None without a run.
        networks: the result of each network on the set.
        folder: the path of the folder of its results from that of the comparison; empty in older records.
        file: the path of its file from the folder of the comparison; empty in older records, whose sets are those of
            runs.
        set_sha256: the SHA-256 of the set's tensors; empty in older records.
    """

    name: str
    method: str | None
    status: str | None
    ipc: Count
    images: Count
    bytes: Count
    labels: str
    distilled_seconds: Amount | None
    peak_memory_bytes: Count | None
    networks: dict[str, TrainedNetwork]
    folder: str = ""
    file: str = ""
    set_sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class Difference(Record):
    """The difference of two sets for one network; accuracies are fractions.

    Attributes:
        network: the spec of the network.
        first: the name of a set.
        second: the name of the set that it is compared with.
        mean: the accuracy on the first set minus that on the second, averaged over the paired repeats.
        ci95: Student's 95 % interval of the mean.
        p: the p value of the paired t test.
        p_corrected: the p value after Holm's correction for all differences.
        repeats: the number of pairs.
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
    """The highest whole percent of validation accuracy that trainings on all sets reach.

    Attributes:
        accuracy: that accuracy, a fraction; None without learning curves.
        seconds: the training time on each set until it is reached.
    """

    accuracy: Fraction | None = None
    seconds: dict[str, Amount] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Its fields; an empty object without an accuracy."""
        return {} if self.accuracy is None else super().to_json()


@dataclass(frozen=True, kw_only=True)
class Comparison(Record):
    """The results of several sets by the same recipe.

    Attributes:
        dataset: the dataset that the sets were made from.
        recipe: the recipe, the same for all sets.
        seed: seed of the repeats; None in older records.
        initial: the initial weights of all networks; None if each set has its own.
        networks: the specs of the networks.
        made_on: the machines, precisions and versions of all results; more than one if these differ.
        sets: the sets in the given order.
        full: the result of each network trained on the full data.
        significance: a difference is significant if its corrected p value is below this.
        differences: the difference of each pair of sets for each network, if the repeats allow a test.
        reached: for each network, the accuracy that trainings on all sets reach.
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
        """The significant differences, the largest first."""
        shown = [item for item in self.differences if item.p_corrected < self.significance]
        return sorted(shown, key=lambda item: -abs(item.mean))

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """The record that ``to_json`` wrote.

        Raises:
            UserError: a field is absent or invalid, or there is no network.
        """
        made = super().from_json(fields)
        if not made.networks:
            fields.refuse("networks", "a list of at least one network")
        return made
