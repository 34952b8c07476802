"""What an evaluation finds, and its JSON: every repeat is added as it is measured, and read back to the same bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from potstill.evaluation.recipes import Recipe
from potstill.runtime.errors import UserError
from potstill.schema.statistics import summary

SCHEMA = 2


@dataclass(frozen=True, kw_only=True)
class NetworkResult:
    """Repeated trainings of one network on one set.

    Attributes:
        accuracies: on the test split, a fraction for each repeat.
        seconds: to train and test all repeats.
        curve_epochs: the epochs at which the curves have points.
        curve_loss: mean training loss there, over repeats.
        curve_accuracy: mean accuracy there on a part of the validation split.
        confusion: counts (true class, predicted class), summed over repeats.
        epochs: passes over the set in each training.
        made_on: the machines, precisions and versions that the repeats were measured with, in words.
        learning_rate: what the validation split chose for all repeats; None where nothing was to be chosen.
        failed: why there is no result, if there is none: one training that fails makes the network fail, and what the
            others found is kept for a call that goes on.
    """

    accuracies: list[float] = field(default_factory=list)
    seconds: float = 0.0
    curve_epochs: list[int] = field(default_factory=list)
    curve_loss: list[float] = field(default_factory=list)
    curve_accuracy: list[float] = field(default_factory=list)
    confusion: list[list[int]] = field(default_factory=list)
    epochs: int = 0
    made_on: list[str] = field(default_factory=list)
    learning_rate: float | None = None
    failed: str | None = None

    @property
    def repeats(self) -> int:
        """How many trainings there were."""
        return len(self.accuracies)

    @property
    def mean(self) -> float:
        """The mean accuracy, a fraction.

        Raises:
            UserError: the network failed.
        """
        if self.failed is not None:
            raise UserError(f"this network has no accuracy: {self.failed}", "choose another network")
        return sum(self.accuracies) / len(self.accuracies)

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
            confusion=(torch.tensor(self.confusion) + torch.tensor(later.confusion)).tolist(),
            made_on=list(dict.fromkeys([*self.made_on, *later.made_on])),
        )

    def to_json(self) -> dict[str, Any]:
        """The entry of this network in ``evaluation.json``."""
        failed = {} if self.failed is None else {"failed": self.failed}
        if not self.accuracies:
            return failed
        curve = {"epochs": self.curve_epochs, "loss": self.curve_loss, "accuracy": self.curve_accuracy}
        return {
            **failed,
            **summary(self.accuracies),
            "seconds": self.seconds,
            "epochs": self.epochs,
            "made_on": self.made_on,
            **({} if self.learning_rate is None else {"learning_rate": self.learning_rate}),
            "curve": curve,
            "confusion": self.confusion,
        }

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> NetworkResult:
        """What ``to_json`` made an entry of."""
        failed = entry.get("failed")
        if failed is not None and "accuracies" not in entry:
            return cls(failed=failed)
        kept = {name: entry[name] for name in ("accuracies", "seconds", "epochs", "made_on", "confusion")}
        curve = {f"curve_{name}": values for name, values in entry["curve"].items()}
        return cls(**kept, **curve, learning_rate=entry.get("learning_rate"), failed=failed)


Results = dict[str, NetworkResult]
"""By network."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a synthetic set is worth by one recipe.

    Attributes:
        recipe: the protocol.
        seed: of the repeats.
        set_sha256: of the set's tensors.
        dataset_fingerprint: of the dataset that it was measured on.
        full_epochs: passes over the full data, where it is a baseline.
        initial: what the networks began with.
        networks: the result of each network trained on the set.
        baselines: the same for ``random`` real images, as many per class, for the ``full`` training data, and for the
            ``initial`` weights as they are.
    """

    recipe: Recipe
    seed: int
    set_sha256: str
    dataset_fingerprint: str
    full_epochs: int
    initial: Mapping[str, Any]
    networks: Results = field(default_factory=dict)
    baselines: dict[str, Results] = field(default_factory=dict)

    @property
    def protocol(self) -> dict[str, Any]:
        """What two evaluations must agree in for their figures to belong together.

        How often networks see the full data is not among it: that is about one baseline, and stands beside its figures.
        """
        return {
            "schema": SCHEMA,
            "recipe": self.recipe.to_json(),
            "seed": self.seed,
            "set_sha256": self.set_sha256,
            "dataset_fingerprint": self.dataset_fingerprint,
            "initial": dict(self.initial),
        }

    def to_json(self) -> dict[str, Any]:
        """The contents of ``evaluation.json``."""

        def entries(results: Results) -> dict[str, Any]:
            return {name: result.to_json() for name, result in results.items()}

        return {
            **self.protocol,
            "full_epochs": self.full_epochs,
            "networks": entries(self.networks),
            # One that was stopped before its first training has no figures to show.
            "baselines": {name: entries(results) for name, results in self.baselines.items() if results},
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Evaluation:
        """What ``to_json`` made a record of.

        Raises:
            KeyError, TypeError: it is not such a record.
        """

        def results(entries: Mapping[str, Any]) -> Results:
            return {name: NetworkResult.from_json(entry) for name, entry in entries.items()}

        return cls(
            recipe=Recipe.from_json(record["recipe"]),
            seed=record["seed"],
            set_sha256=record["set_sha256"],
            dataset_fingerprint=record["dataset_fingerprint"],
            full_epochs=record["full_epochs"],
            initial=record["initial"],
            networks=results(record["networks"]),
            baselines={name: results(entries) for name, entries in record["baselines"].items()},
        )
