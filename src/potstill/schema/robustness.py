"""``robustness.json``: DD-Ranking's label and augmentation robust scores, and the accuracies behind them.

Li et al., "DD-Ranking: Rethinking the Evaluation of Dataset Distillation", 2025. All accuracies are fractions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean
from typing import Any, ClassVar, Literal, Self

from potstill.schema import SetRecord
from potstill.schema.evaluation import repeats_arguments
from potstill.schema.fields import Amount, Count, Fields, Fraction
from potstill.schema.statistics import summary

WEIGHT = 0.5
"""The weight of each term of both scores."""
KINDS = tuple(f"{of} {how}" for how in ("augmented", "plain") for of in ("synthetic", "random"))
"""The trainings for every set; a set with soft labels also has ``synthetic hard``."""


def hard_label_recovery(full: float, synthetic_hard: float) -> float:
    """HLR: the gap between the full data and the set with hard labels; smaller is better."""
    return full - synthetic_hard


def improvement_over_random(synthetic: float, random: float) -> float:
    """IOR: the gain of a set over random images with the same kind of labels and the same recipe."""
    return synthetic - random


def normalised(value: float) -> float:
    """(e^value - e^-1) / (e - e^-1): from [-1, 1] to [0, 1].

    Raises:
        ValueError: the value is not a difference of fractions.
    """
    if not -1 <= value <= 1:
        raise ValueError(f"{value} lies outside [-1, 1]: accuracies are fractions, not percent")
    return (math.exp(value) - math.exp(-1)) / (math.e - math.exp(-1))


def label_robust_score(full: float, synthetic_hard: float, synthetic: float, random: float) -> float:
    """LRS = normalised(w IOR - (1 - w) HLR), w = 1/2.

    Args:
        full: accuracy on the full data, a fraction like all others.
        synthetic_hard: accuracy on the set with hard labels.
        synthetic: accuracy on the set.
        random: accuracy on random images with the same kind of labels.

    Returns:
        The score, in [0, 1]; larger is better.

    Raises:
        ValueError: an accuracy is not a fraction.
    """
    gain = improvement_over_random(synthetic, random)
    return normalised(WEIGHT * gain - (1 - WEIGHT) * hard_label_recovery(full, synthetic_hard))


def augmentation_robust_score(
    synthetic_augmented: float, random_augmented: float, synthetic_plain: float, random_plain: float
) -> float:
    """ARS = normalised(g (gain over random images with augmentation) + (1 - g) (gain without)), g = 1/2.

    Args:
        synthetic_augmented: accuracy on the set with augmentation, a fraction like all others.
        random_augmented: accuracy on random images with augmentation.
        synthetic_plain: accuracy on the set without augmentation.
        random_plain: accuracy on random images without augmentation.

    Returns:
        The score, in [0, 1]; larger is better.

    Raises:
        ValueError: an accuracy is not a fraction.
    """
    with_it = improvement_over_random(synthetic_augmented, random_augmented)
    without = improvement_over_random(synthetic_plain, random_plain)
    return normalised(WEIGHT * with_it + (1 - WEIGHT) * without)


@dataclass(frozen=True, kw_only=True)
class Robustness(SetRecord):
    """Both scores, and what they are made of.

    Attributes:
        set_sha256: of the set's tensors.
        dataset_fingerprint: of the dataset that they were measured on; empty in older records.
        seed: of tuning and repeats.
        made_on: the machine, precision and version, in words.
        track: ``hard`` or ``soft``, by the set's labels: scores of the two are not comparable.
        recipe: the protocol's label.
        network: its spec.
        full_epochs: passes over the full data.
        full: accuracy on it.
        accuracies: by what was trained on (``KINDS``), each repeat's.
        rates: the learning rate that the validation split chose for each.
    """

    SCHEMA: ClassVar[int | None] = 1
    FILE: ClassVar[str] = "robustness.json"

    dataset_fingerprint: str = ""
    seed: int
    made_on: str
    track: Literal["hard", "soft"]
    recipe: str
    network: str
    full_epochs: Count
    full: Fraction
    accuracies: dict[str, list[float]]
    rates: dict[str, float]

    @property
    def label_score(self) -> float:
        """LRS of the mean accuracies."""
        hard = self.accuracies.get("synthetic hard", self.accuracies["synthetic augmented"])
        return label_robust_score(self.full, fmean(hard), self._mean("synthetic"), self._mean("random"))

    @property
    def augmentation_score(self) -> float:
        """ARS of the mean accuracies."""
        return augmentation_robust_score(*(fmean(self.accuracies[kind]) for kind in KINDS))

    def to_json(self) -> dict[str, Any]:
        """The contents of ``robustness.json``."""
        return {
            "schema": self.SCHEMA,
            "set_sha256": self.set_sha256,
            "dataset_fingerprint": self.dataset_fingerprint,
            "seed": self.seed,
            "made_on": self.made_on,
            "track": self.track,
            "recipe": self.recipe,
            "network": self.network,
            "label_robust_score": self.label_score,
            "augmentation_robust_score": self.augmentation_score,
            "full_epochs": self.full_epochs,
            "full": self.full,
            "trained_on": {
                name: {**summary(values), "learning_rate": self.rates[name]} for name, values in self.accuracies.items()
            },
        }

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """The record that ``to_json`` wrote.

        Raises:
            UserError: a field is absent or invalid, or a score is not that of the accuracies.
        """
        parts = fields.part("trained_on")
        trained = {name: parts.part(name) for name in (*KINDS, *parts.values)}
        made = cls(
            **fields.arguments(cls, without=("accuracies", "rates")),
            accuracies={name: _accuracies(part) for name, part in trained.items()},
            rates={name: part.value("learning_rate", Amount) for name, part in trained.items()},
        )
        fields.check_derived("label_robust_score", made.label_score)
        fields.check_derived("augmentation_robust_score", made.augmentation_score)
        return made

    def _mean(self, of: str) -> float:
        return fmean(self.accuracies[f"{of} augmented"])


def _accuracies(fields: Fields) -> list[float]:
    found = repeats_arguments(fields).get("accuracies")
    return found or fields.refuse("accuracies", "a list of at least one fraction")
