"""What the records of several applications have in common: the dataset, the baselines, and gains over random images."""

from __future__ import annotations

from dataclasses import dataclass

from potstill.schema import Record
from potstill.schema.fields import Count, Fraction
from potstill.schema.statistics import SIGNIFICANCE

BASELINES = ("random", "k-means")
"""The selections that always stand beside other sets, in as many images and bytes."""


@dataclass(frozen=True, kw_only=True)
class LearnedDataset(Record):
    """A dataset that is learned.

    Attributes:
        name: its name in records.
        fingerprint: a hash of its images and labels.
        train: the number of training images.
        test: the number of test images.
        kind: what it holds: ``image`` or ``vector``.
    """

    name: str
    fingerprint: str
    train: Count
    test: Count
    kind: str = "image"


@dataclass(frozen=True, kw_only=True)
class Gain(Record):
    """What is gained over as many random images, by repeats in pairs; accuracies are fractions.

    Attributes:
        mean: the accuracy minus that with random images.
        ci95: Student's 95 % interval of the mean.
        p: the p value of the paired t test.
        p_corrected: the p value after Holm's correction for all gains.
    """

    mean: float
    ci95: tuple[float, float]
    p: Fraction
    p_corrected: Fraction

    @property
    def is_significant(self) -> bool:
        """Whether the corrected p value is below 0.05."""
        return self.p_corrected < SIGNIFICANCE
