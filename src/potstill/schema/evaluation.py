"""``evaluation.json``: the results of a set by one recipe, repeat by repeat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, ClassVar, Self

from potstill.runtime.errors import UserError
from potstill.schema import Record, SetRecord
from potstill.schema.fields import Amount, Count, Fields, Fraction, Positive
from potstill.schema.recipe import Recipe
from potstill.schema.statistics import confidence_interval, standard_deviation, summary

WRITTEN_IN_FULL = 100
"""The most classes whose table of confusions is written with its zeros."""
MOST_CONFUSED = 2_000
"""The most classes of which it is counted which is taken for which: the table has as many numbers as their square."""


@dataclass(frozen=True, kw_only=True)
class Repeats(Record):
    """Repeated trainings of one network.

    Mean, standard deviation and intervals are computed from the accuracies whenever they are written or shown.

    Attributes:
        accuracies: a fraction for each repeat.
        failed: the reason if there is no result, otherwise None. One failed training makes the network fail; the
            accuracies of earlier repeats are kept for a call that continues.
    """

    accuracies: list[Fraction] = field(default_factory=list)
    failed: str | None = None

    @property
    def repeats(self) -> int:
        """The number of trainings."""
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
        """The accuracies with their statistics, and the reason if the network failed."""
        failed = {} if self.failed is None else {"failed": self.failed}
        return {**failed, **(summary(self.accuracies) if self.accuracies else {})}

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """The object that ``to_json`` wrote.

        Raises:
            UserError: a field is absent or invalid, or the mean is not that of the accuracies.
        """
        return cls(**repeats_arguments(fields))


def repeats_arguments(fields: Fields) -> dict[str, Any]:
    """The accuracies in an object and the reason of a failure, at least one of which must be there."""
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
        accuracies: accuracy on the test split, a fraction for each repeat.
        seconds: time to train and test all repeats.
        curve_epochs: the epochs at which the learning curves have points.
        curve_loss: training loss at these epochs, averaged over the repeats.
        curve_accuracy: accuracy at these epochs on a part of the validation split, averaged over the repeats; empty
            without validation images.
        confusion: counts by true class (row) and predicted class (column), summed over the repeats; empty for a single
            class, which networks may take for none, and for more than ``MOST_CONFUSED``.
        epochs: passes over the set in each training.
        made_on: the machines, precisions and versions of the repeats, in words.
        learning_rate: the learning rate that was tuned for all repeats; None if none was tuned.
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
            ]
            if self.confusion and later.confusion
            else [],
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
            "confusion": _written(self.confusion),
        }

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """The entry that ``to_json`` wrote.

        Raises:
            UserError: a field is absent or invalid.
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
    values = {"loss": fields.value("loss", list[float]), "accuracy": fields.value("accuracy", list[Fraction])}
    for name, points in values.items():
        if len(points) not in (0, len(epochs)):
            fields.refuse(name, f"as long as epochs ({len(epochs)})")
    return {"curve_epochs": epochs, **{f"curve_{name}": points for name, points in values.items()}}


def _written(confusion: list[list[int]]) -> list[list[int]] | dict[str, Any]:
    """A table of counts as it is written: that of many classes without its zeros, which are nearly all of it."""
    if len(confusion) <= WRITTEN_IN_FULL:
        return confusion
    pairs = [[true, taken, count] for true, row in enumerate(confusion) for taken, count in enumerate(row) if count]
    return {"classes": len(confusion), "counts": pairs}


def _confusion(fields: Fields) -> list[list[int]]:
    if isinstance(fields.value("confusion", Any), Mapping):
        return _from_pairs(fields.part("confusion"))
    counts = fields.value("confusion", list[list[Count]])
    if any(len(row) != len(counts) for row in counts):
        fields.refuse("confusion", "a square table of counts")
    return counts


def _from_pairs(fields: Fields) -> list[list[int]]:
    classes, pairs = fields.value("classes", Positive), fields.value("counts", list[tuple[Count, Count, Count]])
    if classes > MOST_CONFUSED:
        fields.refuse("classes", f"at most {MOST_CONFUSED}")
    if any(max(true, taken) >= classes for true, taken, _ in pairs):
        fields.refuse("counts", f"of classes below {classes}")
    table = [[0] * classes for _ in range(classes)]
    for true, taken, count in pairs:
        table[true][taken] = count
    return table


def real_images_per_class(images: int, classes: int) -> int:
    """The number of real images of each class that replace a set in baselines.

    Args:
        images: the number of images in the set.
        classes: the number of classes.
    """
    return max(images // classes, 1)


Results = dict[str, NetworkResult]
"""The result of each network, by its spec."""


@dataclass(frozen=True, kw_only=True)
class Evaluation(SetRecord):
    """The results of a synthetic set by one recipe.

    Attributes:
        recipe: the protocol.
        seed: seed of the repeats.
        set_sha256: the SHA-256 of the set's tensors.
        dataset_fingerprint: the fingerprint of the dataset that it was measured on.
        full_epochs: passes over the full data, if it is a baseline.
        initial: the initial weights of the networks; ``source`` is ``random``, ``fixed`` or a path.
        networks: the result of each network trained on the set.
        baselines: results by baseline, such as ``random`` (as many random real images), ``full`` (all training data)
            or ``initial`` (no training).
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
        """What two evaluations must have in common for their results to be combined.

        The number of epochs on the full data is not part of it, because it concerns only one baseline.
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
        """The initial weights: ``random``, one ``fixed`` draw, or the path of pre-trained ones."""
        return str(self.initial["source"])

    @property
    def usable(self) -> Results:
        """The networks that have a result on the set."""
        return {name: result for name, result in self.networks.items() if result.usable}

    @property
    def made_on(self) -> list[str]:
        """The machines, precisions and versions of all results; more than one if these differ."""
        results = [result for table in (self.networks, *self.baselines.values()) for result in table.values()]
        return list(dict.fromkeys(made_on for result in results for made_on in result.made_on))

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
        """The record that ``to_json`` wrote.

        Raises:
            UserError: a field is absent or invalid.
        """
        fields.part("initial").value("source", str)
        return super().from_json(fields)
