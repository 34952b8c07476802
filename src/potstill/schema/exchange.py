"""``exchange.json``: how many random real images teach networks as much as a set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean, variance
from typing import Any, ClassVar, Literal, Self

import numpy as np
import scipy

from potstill.schema import Record, SetRecord, plain
from potstill.schema.evaluation import repeats_arguments
from potstill.schema.fields import Amount, Fields, Fraction, Positive
from potstill.schema.recipe import Recipe
from potstill.schema.statistics import ROUNDING, summary

LEVEL = 0.95
SAMPLES = 2_000
"""Places along a curve at which it is compared with a set."""


@dataclass(frozen=True, kw_only=True)
class CurvePoint(Record):
    """Trainings on random real images, new ones for each.

    Attributes:
        images_per_class: the number of images of each class.
        accuracies: accuracy on the test split, a fraction for each training.
        seconds: time to train and test all of them.
        learning_rate: the learning rate that was tuned for all of them; None if none was tuned.
    """

    images_per_class: Positive
    accuracies: list[Fraction]
    seconds: Amount
    learning_rate: Amount | None = None

    @property
    def mean(self) -> float:
        """The mean accuracy."""
        return fmean(self.accuracies)

    def is_above(self, accuracies: Sequence[float]) -> bool:
        """Whether random images are better than a set with these accuracies, and by more than chance.

        With a single training of either, better is enough.
        """
        if min(len(accuracies), len(self.accuracies)) < 2:
            return self.mean > fmean(accuracies)
        interval = exchange_rate(accuracies, [self]).interval
        return interval is not None and interval[1] is not None

    def to_json(self) -> dict[str, Any]:
        """Its fields, and the statistics of its accuracies."""
        return {**super().to_json(), **summary(self.accuracies)}

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """The point that ``to_json`` wrote.

        Raises:
            UserError: a field is absent or invalid, or the mean is not that of the accuracies.
        """
        repeats_arguments(fields)
        return super().from_json(fields)


@dataclass(frozen=True)
class ExchangeRate:
    """The number of random real images of each class that a set is worth.

    Attributes:
        images_per_class: the number, which need not be whole, from which random images have the accuracy of the set;
            None if they do not have it anywhere on the curve.
        beyond: the end of the curve beyond which the number lies, if it does not lie on it; otherwise None.
        interval: the 95 % interval of the number. An end is None if fewer or more images than those of the curve may be
            worth as much. None without an interval, for fewer than two repeats.
    """

    images_per_class: float | None
    beyond: Literal["least", "most"] | None
    interval: tuple[float | None, float | None] | None


def exchange_rate(accuracies: Sequence[float], points: Sequence[CurvePoint]) -> ExchangeRate:
    """Read from the curve of random images how many of them a set is worth.

    The curve is made monotonic by least squares, and is linear in the logarithm of the number of images. The interval
    begins with the first number at which random images are not worse than the set, and ends with the last one at which
    they are not better, both by Welch's t test at the 5 % level. How the true curve runs between the points is not part
    of the uncertainty.

    Args:
        accuracies: on the set, a fraction for each repeat.
        points: of the curve, at least one, in ascending order of the number of images; independent of each other.
    """
    places = np.log([float(point.images_per_class) for point in points])
    parts = _parts_in_monotonic_curve(points)
    means = np.array([point.mean for point in points])
    mean, curve = fmean(accuracies), parts @ means
    where = _first_place(mean, curve, places)
    number = None if where is None else float(np.exp(where))
    beyond = None if where is not None else "least" if mean < curve[0] else "most"
    if min(len(accuracies), *(len(point.accuracies) for point in points)) < 2:
        return ExchangeRate(number, beyond, None)
    samples = np.concatenate([np.linspace(places[0], places[-1], SAMPLES), places, [] if where is None else [where]])
    samples = np.unique(samples)
    shares = np.stack([np.interp(samples, places, each) for each in parts.T], axis=1)
    gains, most = mean - shares @ means, _half_widths(accuracies, points, shares) + ROUNDING
    possible = np.exp(samples)
    worse, better = gains > most, gains < -most
    low = possible[-1] if worse.all() else possible[~worse][0]
    high = possible[0] if better.all() else possible[~better][-1]
    return ExchangeRate(number, beyond, (float(low) if worse[0] else None, float(high) if better[-1] else None))


def _parts_in_monotonic_curve(points: Sequence[CurvePoint]) -> np.ndarray:
    """The part that each point has in the monotonic curve at each of them: (points, points), and rows add up to 1."""
    repeats = np.array([len(point.accuracies) for point in points], float)
    pooled = scipy.optimize.isotonic_regression([point.mean for point in points], weights=repeats)
    parts = np.zeros((len(points), len(points)))
    for begin, end in zip(pooled.blocks, pooled.blocks[1:], strict=False):
        parts[begin:end, begin:end] = repeats[begin:end] / repeats[begin:end].sum()
    return parts


def _first_place(mean: float, curve: np.ndarray, places: np.ndarray) -> float | None:
    """Where a monotonic curve first reaches a value; None if it never does."""
    if not curve[0] - ROUNDING <= mean <= curve[-1] + ROUNDING:
        return None
    after = int(np.argmax(curve >= mean - ROUNDING))
    if after == 0:
        return float(places[0])
    return float(np.interp(mean, curve[after - 1 : after + 1], places[after - 1 : after + 1]))


def _half_widths(accuracies: Sequence[float], points: Sequence[CurvePoint], shares: np.ndarray) -> np.ndarray:
    """Half the width of Welch's interval of the difference between a set and each of several places on the curve.

    Args:
        accuracies: on the set.
        points: of the curve, each with at least two accuracies.
        shares: (places, points): the share that each point has in the accuracy at a place.
    """
    samples = [accuracies, *(point.accuracies for point in points)]
    freedom = np.array([len(each) - 1 for each in samples])
    variances = np.array([variance(each) / len(each) for each in samples])
    parts = variances * np.insert(shares**2, 0, 1, axis=1)
    total = parts.sum(1)
    certain = total < ROUNDING**2
    effective = total**2 / np.where(certain, 1, (parts**2 / freedom).sum(1))
    return np.where(certain, 0, scipy.stats.t.ppf((1 + LEVEL) / 2, np.where(certain, 1, effective)) * np.sqrt(total))


@dataclass(frozen=True, kw_only=True)
class NetworkExchange(Record):
    """The exchange rate for one network.

    Attributes:
        accuracies: accuracy on the test split after training on the set, a fraction for each repeat.
        points: the curve of random images, in ascending order.
        made_on: the machines, precisions and versions of all trainings, in words.
        failed: why the curve ends early, if a training on more random images failed; otherwise None.
    """

    accuracies: list[Fraction]
    points: list[CurvePoint] = field(default_factory=list)
    made_on: list[str] = field(default_factory=list)
    failed: str | None = None

    @property
    def rate(self) -> ExchangeRate | None:
        """How many images a set is worth; None without a curve."""
        return exchange_rate(self.accuracies, self.points) if self.points else None

    @property
    def seconds(self) -> float:
        """The time of all trainings on random images."""
        return sum(point.seconds for point in self.points)

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """The entry that ``to_json`` wrote.

        Raises:
            UserError: a field is absent or invalid, or points are not in ascending order.
        """
        made = super().from_json(fields)
        numbers = [point.images_per_class for point in made.points]
        if not made.accuracies:
            fields.refuse("accuracies", "a list of at least one fraction")
        if numbers != sorted(set(numbers)):
            fields.refuse("points", "in ascending order of images_per_class")
        return made


@dataclass(frozen=True, kw_only=True)
class WorthInImages:
    """What a set is worth in random real images.

    Attributes:
        images_per_class: their number of each class, as for ``ExchangeRate``.
        images: their number in all, a whole number; None if no number on the curve has the accuracy of the set.
        beyond: the end of the curve beyond which it lies in that case.
        interval: the 95 % interval of ``images``, as for ``ExchangeRate``.
        least: the fewest images that were tried.
        most: the most that were tried.
        bytes: the size of ``images`` as 8-bit pixels; None likewise.
    """

    images_per_class: float | None
    images: int | None
    beyond: Literal["least", "most"] | None
    interval: tuple[int | None, int | None] | None
    least: int
    most: int
    bytes: int | None


@dataclass(frozen=True, kw_only=True)
class Exchange(SetRecord):
    """How many random real images a set is worth, by one recipe.

    Attributes:
        recipe: how networks are trained, on the set as on real images.
        seed: seed of all draws.
        initial: the initial weights of the networks, as for an evaluation.
        classes: the number of classes.
        image_bytes: the size of one real image as 8-bit pixels, of a vector as 32-bit numbers.
        set_bytes: the size of the set as it is stored.
        networks: the exchange rate for each network, by its spec.
    """

    SCHEMA: ClassVar[int | None] = 1
    FILE: ClassVar[str] = "exchange.json"

    recipe: Recipe
    seed: int
    initial: Mapping[str, Any]
    classes: Positive
    image_bytes: Positive
    set_bytes: Positive
    networks: dict[str, NetworkExchange] = field(default_factory=dict)

    @property
    def protocol(self) -> dict[str, Any]:
        """What two records must have in common for one to be continued as the other."""
        names = ("recipe", "seed", "initial", "set_sha256", "dataset_fingerprint")
        return {name: plain(getattr(self, name)) for name in names}

    def worth(self, network: str) -> WorthInImages | None:
        """What the set is worth for a network; None without a curve."""
        found = self.networks[network]
        rate = found.rate
        if rate is None:
            return None
        images = None if rate.images_per_class is None else round(rate.images_per_class * self.classes)
        interval = None
        if rate.interval is not None:
            low, high = (None if end is None else round(end * self.classes) for end in rate.interval)
            interval = low, high
        return WorthInImages(
            images_per_class=rate.images_per_class,
            images=images,
            beyond=rate.beyond,
            interval=interval,
            least=found.points[0].images_per_class * self.classes,
            most=found.points[-1].images_per_class * self.classes,
            bytes=None if images is None else images * self.image_bytes,
        )

    def to_json(self) -> dict[str, Any]:
        """Its fields, and for each network with a curve what the set is worth."""
        written = super().to_json()
        for name, entry in written["networks"].items():
            worth = self.worth(name)
            if worth is not None:
                written["networks"][name] = {"worth": plain(asdict(worth)), **entry}
        return written

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """The record that ``to_json`` wrote.

        Raises:
            UserError: a field is absent or invalid, or the number of images does not follow from the accuracies.
        """
        made = super().from_json(fields)
        fields.part("initial").value("source", str)
        for name in made.networks:
            worth = made.worth(name)
            if worth is not None:
                derived = fields.part("networks").part(name).part("worth")
                if worth.images_per_class is not None:
                    derived.check_derived("images_per_class", worth.images_per_class)
                elif "images_per_class" in derived:
                    derived.refuse("images_per_class", "null, which follows from the accuracies")
        return made
