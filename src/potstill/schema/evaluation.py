"""``evaluation.json``: what a set is worth by one recipe, repeat by repeat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, ClassVar, Self

from potstill.runtime.errors import UserError
from potstill.schema import Record, SetRecord
from potstill.schema.fields import Amount, Count, Fields, Fraction
from potstill.schema.recipe import Recipe
from potstill.schema.statistics import confidence_interval, standard_deviation, summary


@dataclass(frozen=True, kw_only=True)
class Repeats(Record):
    """Repeated trainings of one network.

    Mean, deviation and intervals are derived from the accuracies whenever they are written or shown.

    Attributes:
        accuracies: a fraction for each repeat.
        failed: why there is no result, if there is none: one training that fails makes the network fail, and the
            accuracies of earlier ones are kept for a call that continues.
    """

    accuracies: list[Fraction] = field(default_factory=list)
    failed: str | None = None

    @property
    def repeats(self) -> int:
        """How many trainings there were."""
        return len(self.accuracies)

    @property
    def usable(self) -> bool:
        """Whether there is a result."""
        return self.failed is None and bool(self.accuracies)

    @property
    def mean(self) -> float:
        """The mean accuracy, a fraction.

        Raises:
            UserError: the network failed.
        """
        if self.failed is not None:
            raise UserError(f"this network has no accuracy: {self.failed}", "choose another network")
        return sum(self.accuracies) / len(self.accuracies)

    @property
    def std(self) -> float | None:
        """The sample standard deviation, a fraction; None for fewer than two repeats."""
        return standard_deviation(self.accuracies)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the mean; None for fewer than two repeats."""
        return confidence_interval(self.accuracies)

    def to_json(self) -> dict[str, Any]:
        """The accuracies with their statistics, or the reason for which there are none."""
        failed = {} if self.failed is None else {"failed": self.failed}
        return {**failed, **(summary(self.accuracies) if self.accuracies else {})}

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """What ``to_json`` made an object of.

        Raises:
            UserError: a field is absent or not what it should be, or the mean is not that of the accuracies.
        """
        return cls(**repeats_arguments(fields))


def repeats_arguments(fields: Fields) -> dict[str, Any]:
    """The accuracies in an object and the reason of a failure; at least one of them is there."""
    failed = fields.value("failed", str) if "failed" in fields else None
    if failed is not None and "accuracies" not in fields:
        return {"failed": failed}
    accuracies = fields.value("accuracies", list[Fraction])
    if not accuracies:
        fields.refuse("accuracies", "a list of at least one fraction")
    fields.check_derived("mean", fmean(accuracies))
    return {"accuracies": accuracies, "failed": failed}


@dataclass(frozen=True, kw_only=True)
class NetworkResult(Repeats):
    """Repeated trainings of one network on one set.

    Attributes:
        accuracies: on the test split, a fraction for each repeat.
        seconds: to train and test all repeats.
        curve_epochs: the epochs at which the curves have points.
        curve_loss: mean training loss there, over repeats.
        curve_accuracy: mean accuracy there on a part of the validation split; empty if there is none.
        confusion: counts (true class, predicted class), summed over repeats.
        epochs: passes over the set in each training.
        made_on: the machines, precisions and versions that the repeats were measured with, in words.
        learning_rate: what the validation split chose for all repeats; None where nothing was to be chosen.
    """

    seconds: Amount = 0.0
    curve_epochs: list[int] = field(default_factory=list)
    curve_loss: list[float] = field(default_factory=list)
    curve_accuracy: list[float] = field(default_factory=list)
    confusion: list[list[int]] = field(default_factory=list)
    epochs: int = 0
    made_on: list[str] = field(default_factory=list)
    learning_rate: float | None = None

    def joined(self, later: NetworkResult) -> NetworkResult:
        """These repeats and ``later`` ones of the same network, set and schedule."""
        if not self.accuracies:
            return later

        def mean(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
            total = self.repeats + later.repeats
            return [(self.repeats * a + later.repeats * b) / total for a, b in zip(ours, theirs, strict=True)]

        return replace(
            self,
            accuracies=[*self.accuracies, *later.accuracies],
            seconds=self.seconds + later.seconds,
            curve_loss=mean(self.curve_loss, later.curve_loss),
            curve_accuracy=mean(self.curve_accuracy, later.curve_accuracy),
            confusion=[
                [a + b for a, b in zip(ours, theirs, strict=True)]
                for ours, theirs in zip(self.confusion, later.confusion, strict=True)
            ],
            made_on=list(dict.fromkeys([*self.made_on, *later.made_on])),
        )

    def to_json(self) -> dict[str, Any]:
        """The entry of this network in ``evaluation.json``."""
        if not self.accuracies:
            return super().to_json()
        return {
            **super().to_json(),
            "seconds": self.seconds,
            "epochs": self.epochs,
            "made_on": self.made_on,
            **({} if self.learning_rate is None else {"learning_rate": self.learning_rate}),
            "curve": {"epochs": self.curve_epochs, "loss": self.curve_loss, "accuracy": self.curve_accuracy},
            "confusion": self.confusion,
        }

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """What ``to_json`` made an entry of.

        Raises:
            UserError: a field is absent or not what it should be.
        """
        repeats = repeats_arguments(fields)
        if "accuracies" not in repeats:
            return cls(**repeats)
        return cls(
            **repeats,
            seconds=fields.value("seconds", Amount),
            epochs=fields.value("epochs", Count),
            made_on=fields.value("made_on", list[str]),
            learning_rate=fields.value("learning_rate", float) if "learning_rate" in fields else None,
            **_curve_arguments(fields.part("curve")),
            confusion=_confusion(fields),
        )


def _curve_arguments(fields: Fields) -> dict[str, Any]:
    epochs = fields.value("epochs", list[Count])
    values = {name: fields.value(name, list[float]) for name in ("loss", "accuracy")}
    for name, points in values.items():
        if len(points) not in (0, len(epochs)):
            fields.refuse(name, f"as long as epochs ({len(epochs)})")
    return {"curve_epochs": epochs, **{f"curve_{name}": points for name, points in values.items()}}


def _confusion(fields: Fields) -> list[list[int]]:
    counts = fields.value("confusion", list[list[Count]])
    if any(len(row) != len(counts) for row in counts):
        fields.refuse("confusion", "a square table of counts")
    return counts


Results = dict[str, NetworkResult]
"""By network."""


@dataclass(frozen=True, kw_only=True)
class Evaluation(SetRecord):
    """What a synthetic set is worth by one recipe.

    Attributes:
        recipe: the protocol.
        seed: of the repeats.
        set_sha256: of the set's tensors.
        dataset_fingerprint: of the dataset that it was measured on.
        full_epochs: passes over the full data, where it is a baseline.
        initial: what the networks began with; ``source`` says it in a word or names files.
        networks: the result of each network trained on the set.
        baselines: the same for ``random`` real images, as many per class, for the ``full`` training data, and for the
            ``initial`` weights as they are.
    """

    SCHEMA: ClassVar[int | None] = 2
    FILE: ClassVar[str] = "evaluation.json"

    recipe: Recipe
    seed: int
    full_epochs: Count
    initial: Mapping[str, Any]
    networks: Results = field(default_factory=dict)
    baselines: dict[str, Results] = field(default_factory=dict)

    @property
    def protocol(self) -> dict[str, Any]:
        """What two evaluations must agree in for their results to belong together.

        How often networks see the full data is not part of it: that concerns one baseline, and stands beside it.
        """
        return {
            "schema": self.SCHEMA,
            "recipe": self.recipe.to_json(),
            "seed": self.seed,
            "set_sha256": self.set_sha256,
            "dataset_fingerprint": self.dataset_fingerprint,
            "initial": dict(self.initial),
        }

    @property
    def initial_source(self) -> str:
        """What the networks began with: ``random`` weights, one ``fixed`` draw, or the path of pre-trained ones."""
        return str(self.initial["source"])

    @property
    def usable(self) -> Results:
        """The networks that have a result on the set."""
        return {name: result for name, result in self.networks.items() if result.usable}

    def to_json(self) -> dict[str, Any]:
        """The contents of ``evaluation.json``."""

        def entries(results: Results) -> dict[str, Any]:
            return {name: result.to_json() for name, result in results.items()}

        return {
            **self.protocol,
            "full_epochs": self.full_epochs,
            "networks": entries(self.networks),
            # A baseline that was stopped before its first training has no results to show.
            "baselines": {name: entries(results) for name, results in self.baselines.items() if results},
        }

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """What ``to_json`` made a record of.

        Raises:
            UserError: a field is absent or not what it should be.
        """
        fields.part("initial").value("source", str)
        return super().from_json(fields)
