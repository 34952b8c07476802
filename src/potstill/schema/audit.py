"""``audit.json``: what networks that are trained on a set, and the set itself, give away about who was a member."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, ClassVar, Literal, Self

import scipy

from potstill.schema import Record
from potstill.schema.fields import Amount, Count, Fields, Fraction, Positive
from potstill.schema.privacy import Privacy
from potstill.schema.recipe import Recipe
from potstill.schema.statistics import SIGNIFICANCE, clopper_pearson

AttackName = Literal["threshold", "rmia", "lira-offline", "lira-online"]
Arm = Literal["set", "random"]
SourceKind = Literal["run", "selection", "method", "set"]

RATES = (0.1, 0.01, 0.001)
"""The false positive rates at which true positives are counted."""
FEWEST_FALSE = 10
"""The number of false positives from which a rate is resolved."""


def is_resolved(fpr: float, others: int) -> bool:
    """Whether enough other images are asked about to say anything at a false positive rate."""
    return fpr * others >= FEWEST_FALSE * (1 - 1e-9)


@dataclass(frozen=True, kw_only=True)
class AuditProtocol(Record):
    """How a pipeline is audited.

    Attributes:
        pool: the most training images that are asked about; every class has its share.
        shadows: pipelines, each made from a random half of the pool. They come in pairs: a half and its complement.
            Each is attacked with all others but its complement as references.
        images_per_class: of every set; None is that of the run, or 10.
        iterations: of every distillation; None is the number of the run, or the method's.
        delta: the probability with which a guarantee may fail, for the lower bound of epsilon; that of the pipelines'
            own guarantee if they have one.
        seed: seed of all draws.
    """

    pool: Positive = 10_000
    shadows: Positive = 8
    images_per_class: Positive | None = None
    iterations: Count | None = None
    delta: Fraction = 1e-5
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class AuditedDataset(Record):
    """The images that an audit asks about.

    Attributes:
        name: of the dataset.
        fingerprint: of the pool.
        pool: the number of images that were a member of half of the pipelines.
        population: the number of test images, which were a member of none.
    """

    name: str
    fingerprint: str
    pool: Positive
    population: Positive


@dataclass(frozen=True, kw_only=True)
class Rate(Record):
    """How many members are called members, at a threshold with a given share of false positives.

    Attributes:
        fpr: the largest share of other images that may be called members.
        found: members called members, the mean of the targets.
        members: members of a target, the mean of the targets.
    """

    fpr: Fraction
    found: Amount
    members: Amount

    @property
    def tpr(self) -> float:
        """The share of members that are called members."""
        return self.found / self.members

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Clopper and Pearson's interval of the share.

        It counts the images of one target: those of all targets are the same images.
        """
        return clopper_pearson(self.found, self.members, level)

    def to_json(self) -> dict[str, Any]:
        """Its fields, the share and its 95 % interval."""
        return {**super().to_json(), "tpr": self.tpr, "ci95": list(self.interval())}

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """The rate that ``to_json`` wrote.

        Raises:
            UserError: a field is absent or invalid, there is no member, or the share does not follow from the counts.
        """
        made = super().from_json(fields)
        if not 0 < made.members < 1e15 or made.found > made.members:
            fields.refuse("members", "at least as many as were found")
        fields.check_derived("tpr", made.tpr, "the counts")
        return made


@dataclass(frozen=True, kw_only=True)
class AttackResult(Record):
    """How well an attack distinguishes members from other images.

    Attributes:
        attack: the attack.
        aucs: the area under the ROC curve of each target.
        auc_error: the standard error of their mean, by a bootstrap over images and pairs of targets.
        balanced_accuracy: the mean share of members and others classified correctly, at the best threshold.
        rates: true positives at those false positive rates that the number of images can resolve.
        begun: the same among the members that the set was begun from, or consists of; empty if it is not known.
        epsilon: the least epsilon of any guarantee that these results allow.
        epsilon_level: the confidence of that bound: so high that with 95 % confidence all bounds on the sets of an
            audit hold; in older records 0.95.
        roc: false and true positive rate at a few thresholds.
    """

    attack: AttackName
    aucs: list[Fraction]
    auc_error: Amount
    balanced_accuracy: Fraction
    rates: list[Rate] = field(default_factory=list)
    begun: list[Rate] = field(default_factory=list)
    epsilon: Amount
    epsilon_level: Fraction = 0.95
    roc: list[tuple[Fraction, Fraction]]

    @property
    def auc(self) -> float:
        """The mean area under the ROC curve: 0.5 for guesses, 1 if all members are known."""
        return fmean(self.aucs)

    def auc_interval(self, level: float = 0.95) -> tuple[float, float]:
        """The interval of the mean area, by its standard error."""
        half = float(scipy.stats.norm.ppf((1 + level) / 2)) * self.auc_error
        return max(self.auc - half, 0.0), min(self.auc + half, 1.0)

    def rate(self, fpr: float) -> Rate | None:
        """The true positives at a false positive rate, if it is resolved."""
        return next((each for each in self.rates if math.isclose(each.fpr, fpr)), None)

    def begun_rate(self, fpr: float) -> Rate | None:
        """The same among the members that the set was begun from, if these are known."""
        return next((each for each in self.begun if math.isclose(each.fpr, fpr)), None)

    def finds_members(self, tests: int) -> bool:
        """Whether it does better than guesses, as one of several tests (Bonferroni)."""
        level = 1 - 2 * SIGNIFICANCE / tests  # only the lower end counts
        return self.auc_interval(level)[0] > 0.5 or any(each.interval(level)[0] > each.fpr for each in self.rates)

    def to_json(self) -> dict[str, Any]:
        """Its fields, the mean area and its 95 % interval."""
        return {**super().to_json(), "auc": self.auc, "ci95": list(self.auc_interval())}

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """The result that ``to_json`` wrote.

        Raises:
            UserError: a field is absent or invalid, or the mean area is not that of the targets.
        """
        made = super().from_json(fields)
        if not made.aucs:
            fields.refuse("aucs", "a list with the area of each target")
        if len(made.roc) < 2:
            fields.refuse("roc", "a curve of at least two points")
        fields.check_derived("auc", made.auc, "the areas of the targets")
        return made


@dataclass(frozen=True, kw_only=True)
class Attacked(Record):
    """What was attacked: networks of one architecture, one for each pipeline, or the images that they learn from.

    Attributes:
        arm: the ``set`` of each pipeline, or as many ``random`` members in as many bytes in its place.
        network: the spec of the networks that were trained on it; empty if the images themselves are attacked.
        accuracies: of each network on the population; empty without a network.
        attacks: the results.
        failed: the reason if a training failed, otherwise None.
    """

    arm: Arm
    network: str
    accuracies: list[Fraction] = field(default_factory=list)
    attacks: list[AttackResult] = field(default_factory=list)
    failed: str | None = None

    @property
    def usable(self) -> bool:
        """Whether there are results."""
        return self.failed is None and bool(self.attacks)

    @property
    def tests(self) -> int:
        """The number of ways in which an attack may do better than guesses."""
        return sum(1 + len(each.rates) for each in self.attacks)

    @property
    def finds_members(self) -> bool:
        """Whether any attack does better than guesses."""
        return any(each.finds_members(self.tests) for each in self.attacks)

    @property
    def lowest_rate(self) -> float | None:
        """The lowest false positive rate that is resolved."""
        return min((rate.fpr for each in self.attacks for rate in each.rates), default=None)

    @property
    def strongest(self) -> AttackResult:
        """The attack with the most true positives at the lowest rate, and of these the one with the largest area."""
        lowest = self.lowest_rate

        def strength(each: AttackResult) -> tuple[float, float]:
            rate = None if lowest is None else each.rate(lowest)
            return (0.0 if rate is None else rate.tpr), each.auc

        return max(self.attacks, key=strength)

    @property
    def largest(self) -> AttackResult:
        """The attack with the largest area under its curve."""
        return max(self.attacks, key=lambda each: each.auc)

    @property
    def epsilon(self) -> float:
        """The largest of the attacks' lower bounds."""
        return max(each.epsilon for each in self.attacks)


@dataclass(frozen=True, kw_only=True)
class AreaDifference(Record):
    """The area under the curve on the set minus that on random images, for one network and attack.

    Attributes:
        network: the spec of the network; empty if the images themselves were attacked.
        attack: the attack.
        mean: the difference.
        error: its standard error; both are attacked on the same members.
    """

    network: str
    attack: AttackName
    mean: float
    error: Amount

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the difference."""
        half = float(scipy.stats.norm.ppf(0.975)) * self.error
        return self.mean - half, self.mean + half


@dataclass(frozen=True, kw_only=True)
class NearestPair(Record):
    """A synthetic image and the nearest real one.

    Attributes:
        place: the place of the image in the set; of a formation, among all pictures.
        real: the place of the nearest training image.
        label: the class of the synthetic image.
        distance: between them, of pixels in [0, 1].
        similarity: the SSIM of both.
        image: uint8 (C, H, W) as base64.
        neighbour: the same of the real image.
    """

    place: Count
    real: Count
    label: str
    distance: Amount
    similarity: float
    image: str
    neighbour: str


@dataclass(frozen=True, kw_only=True)
class FromStart(Record):
    """How far a set has moved from the images that it was begun from.

    Attributes:
        copied: the share of initial images that are training images.
        kept: the share of those whose nearest training image is still the one that they began as.
        moved: the median distance from them to where they began, relative to the median distance of held-out real
            images from the nearest training image.
    """

    copied: Fraction
    kept: Fraction
    moved: Amount

    @property
    def barely(self) -> bool:
        """Whether most images began as real ones and are still nearer to these than real images to each other."""
        return self.copied > 0.5 and self.kept > 0.5 and self.moved < 1


@dataclass(frozen=True, kw_only=True)
class Neighbours(Record):
    """The nearest training image of every synthetic image, against that of held-out real images.

    Attributes:
        train: the number of training images that were searched.
        shape: (C, H, W) of an image.
        distances: from each synthetic image to the nearest training image, of pixels in [0, 1]; in order.
        similarities: the largest SSIM among its ten nearest training images.
        held_out: the same distances of real images that the set was not made from.
        held_out_similarities: their similarities.
        pairs: the closest pairs, with their pictures.
        start: how far the set has moved; None if its initial images are not known.
    """

    train: Positive
    shape: tuple[Positive, Positive, Positive]
    distances: list[Amount]
    similarities: list[float]
    held_out: list[Amount]
    held_out_similarities: list[float]
    pairs: list[NearestPair] = field(default_factory=list)
    start: FromStart | None = None

    @property
    def ratio(self) -> float:
        """The median distance of synthetic images, relative to that of held-out real images."""
        typical = median(self.held_out)
        return median(self.distances) / typical if typical else math.inf

    @property
    def closer(self) -> float:
        """The share of synthetic images that are closer to a training image than 99 % of held-out real images."""
        few = sorted(self.held_out)[max(len(self.held_out) // 100 - 1, 0)]
        return fmean(each < few for each in self.distances)

    def to_json(self) -> dict[str, Any]:
        """Its fields, the ratio and the share of close images."""
        return {**super().to_json(), "ratio": plain_number(self.ratio), "closer": self.closer}

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """The neighbours that ``to_json`` wrote.

        Raises:
            UserError: a field is absent or invalid, there are no distances, or a picture has another shape.
        """
        made = super().from_json(fields)
        for name, other in (("distances", "similarities"), ("held_out", "held_out_similarities")):
            if not getattr(made, name) or len(getattr(made, name)) != len(getattr(made, other)):
                fields.refuse(name, f"a list with a distance for each of the {other}")
        if made.shape[0] > 4:
            fields.refuse("shape", "that of images with 1 to 4 channels")
        size = math.prod(made.shape)
        if any(len(_bytes(each)) != size for pair in made.pairs for each in (pair.image, pair.neighbour)):
            fields.refuse("pairs", "a list with pictures of this shape")
        fields.check_derived("closer", made.closer, "the distances")
        if math.isfinite(made.ratio):
            fields.check_derived("ratio", made.ratio, "the distances")
        return made


def plain_number(value: float) -> float | None:
    """A number as JSON has it: none that is infinite."""
    return value if math.isfinite(value) else None


def median(values: Sequence[float]) -> float:
    """The median; of an even number the mean of the two in the middle."""
    ordered, middle = sorted(values), len(values) // 2
    return ordered[middle] if len(values) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _bytes(text: str) -> bytes:
    """The bytes that a base64 text stands for; empty if it is invalid."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


@dataclass(frozen=True, kw_only=True)
class Audit(Record):
    """An audit of a pipeline: sets are made from random halves of a pool, and networks trained on them are attacked.

    Attributes:
        source: what was audited: a run, a method or selection, or a set.
        kind: what it is. A ``set`` cannot be made again, so that only its neighbours are known.
        protocol: how it was audited.
        dataset: the images that were asked about.
        settings: those with which every set was made.
        images: the images of every set, or of the set.
        recipe: how networks were trained; None for a set.
        networks: the specs of the networks.
        attacked: each network on the sets and on random images.
        differences: of the areas between the two.
        promised: the guarantee of the pipelines, that with the largest epsilon; None without one.
        neighbours: the nearest real images; None until they are known.
        seconds: the time to make all sets.
        made_on: the machines, precisions and versions of all results; more than one if these differ.
    """

    SCHEMA: ClassVar[int | None] = 1
    FILE: ClassVar[str] = "audit.json"

    source: str
    kind: SourceKind
    protocol: AuditProtocol
    dataset: AuditedDataset
    settings: Mapping[str, Any] = field(default_factory=dict)
    images: Positive
    recipe: Recipe | None = None
    networks: list[str] = field(default_factory=list)
    attacked: list[Attacked] = field(default_factory=list)
    differences: list[AreaDifference] = field(default_factory=list)
    promised: Privacy | None = None
    neighbours: Neighbours | None = None
    seconds: Amount = 0.0
    made_on: list[str] = field(default_factory=list)

    @property
    def delta(self) -> float:
        """The delta of the lower bounds of epsilon."""
        return self.protocol.delta if self.promised is None else self.promised.delta

    @property
    def attacks_on_sets(self) -> list[AttackResult]:
        """The results of all attacks on the sets, through networks or not."""
        return [attack for each in self.attacked if each.usable and each.arm == "set" for attack in each.attacks]

    @property
    def epsilon(self) -> float | None:
        """The largest lower bound of epsilon on the sets; None without a result."""
        return max((each.epsilon for each in self.attacks_on_sets), default=None)

    @property
    def bounds_hold_together(self) -> bool:
        """Whether all lower bounds of epsilon on the sets hold with 95 % confidence, so that the largest does."""
        return sum(1 - each.epsilon_level for each in self.attacks_on_sets) < SIGNIFICANCE * (1 + 1e-9)

    def attack_on(self, arm: Arm, network: str) -> Attacked | None:
        """The result of a network on the sets or on random images, if there is one; without a network of the images."""
        found = (each for each in self.attacked if each.usable)
        return next((each for each in found if (each.arm, each.network) == (arm, network)), None)
