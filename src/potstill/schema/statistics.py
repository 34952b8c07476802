"""Mean, spread and intervals of repeated accuracies, and the tests of differences between sets."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np
import scipy

SIGNIFICANCE = 0.05
"""A difference is significant if its corrected p value is below this."""
RESAMPLES = 9999
ROUNDING = 1e-9
"""Accuracies, or counts, that differ by less are equal."""

K = TypeVar("K")


def confidence_interval(
    values: Sequence[float], level: float = 0.95, *, least: float = 0.0, most: float = 1.0
) -> tuple[float, float] | None:
    """Student's t interval for the mean of repeats; None for fewer than two.

    Args:
        values: fractions, or differences of fractions.
        level: the probability with which such intervals hold the mean.
        least: the least possible value, to which the interval is clipped: -1 for differences.
        most: the most, likewise: infinity for ratios.
    """
    if len(values) < 2:
        return None
    half = scipy.stats.t.ppf((1 + level) / 2, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    mean = statistics.fmean(values)
    return max(least, float(mean - half)), min(most, float(mean + half))


def bootstrap_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float] | None:
    """The bias-corrected and accelerated bootstrap interval of the mean (Efron, 1987); None for fewer than three.

    It assumes no distribution, but for as few as five repeats it is too narrow. Therefore Student's interval is shown,
    and this one is only recorded. The same values always give the same interval.
    """
    return None if len(values) < 3 or len(set(values)) == 1 else _resampled(tuple(values), level)


@cache
def _resampled(values: tuple[float, ...], level: float) -> tuple[float, float]:
    """The interval, which records of many results need whenever one of these is added."""
    found = scipy.stats.bootstrap(
        (np.asarray(values),),
        np.mean,
        confidence_level=level,
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)


def standard_deviation(values: Sequence[float]) -> float | None:
    """The sample standard deviation; None for fewer than two."""
    return statistics.stdev(values) if len(values) > 1 else None


def summary(accuracies: Sequence[float]) -> dict[str, float | list[float] | None]:
    """The record of repeated accuracies (fractions): all of them, mean, sample std and 95 % intervals."""
    interval, resampled = confidence_interval(accuracies), bootstrap_interval(accuracies)
    return {
        "accuracies": list(accuracies),
        "mean": statistics.fmean(accuracies),
        "std": standard_deviation(accuracies),
        "ci95": list(interval) if interval else None,
        "bootstrap95": list(resampled) if resampled else None,
    }


@dataclass(frozen=True)
class PairedDifference:
    """The difference between the accuracies of two sets, paired by repeat.

    Attributes:
        mean: the mean of first minus second, a fraction.
        interval: Student's 95 % interval of the mean.
        p: the p value of the two-sided paired t test of equal means.
        repeats: the number of pairs.
    """

    mean: float
    interval: tuple[float, float]
    p: float
    repeats: int


def paired_difference(first: Sequence[float], second: Sequence[float]) -> PairedDifference | None:
    """Compare two sets by the repeats that both have; repeat r of each started from the same weights and seeds.

    Returns:
        The difference; None for fewer than two common repeats, or if all pairs have the same difference other than 0,
        because then there is no spread to test against.
    """
    pairs = list(zip(first, second, strict=False))
    differences = [a - b for a, b in pairs]
    if len(differences) < 2:
        return None
    mean, spread = statistics.fmean(differences), statistics.stdev(differences)
    if spread < ROUNDING and abs(mean) > ROUNDING:
        return None
    half = float(scipy.stats.t.ppf(0.975, len(differences) - 1)) * spread / math.sqrt(len(differences))
    p = float(scipy.stats.ttest_rel([a for a, _ in pairs], [b for _, b in pairs]).pvalue) if spread >= ROUNDING else 1.0
    return PairedDifference(mean, (mean - half, mean + half), p, len(differences))


def welch_interval(first: Sequence[float], second: Sequence[float]) -> tuple[float, float] | None:
    """Welch's 95 % interval of the difference of two means, of repeats that are not paired.

    Returns:
        The ends; None for fewer than two repeats of either, or without any spread.
    """
    if min(len(first), len(second)) < 2 or max(statistics.stdev(first), statistics.stdev(second)) < ROUNDING:
        return None
    errors = [(statistics.variance(each) / len(each), len(each) - 1) for each in (first, second)]
    squared = sum(error for error, _ in errors)
    freedom = squared**2 / sum(error**2 / degrees for error, degrees in errors)
    half = float(scipy.stats.t.ppf(0.975, freedom)) * math.sqrt(squared)
    difference = statistics.fmean(first) - statistics.fmean(second)
    return difference - half, difference + half


def corrected(p_values: Mapping[K, float]) -> dict[K, float]:
    """P values of several comparisons with Holm's correction (1979).

    With it, the probability that any corrected p value is below 0.05 by chance alone is at most 0.05.
    """
    ordered = sorted(p_values, key=p_values.__getitem__)
    found: dict[K, float] = {}
    largest = 0.0
    for place, key in enumerate(ordered):
        largest = max(largest, min(1.0, p_values[key] * (len(ordered) - place)))
        found[key] = largest
    return {key: found[key] for key in p_values}


def clopper_pearson(found: float, of: float, level: float = 0.95) -> tuple[float, float]:
    """The exact two-sided interval of a rate (Clopper and Pearson, 1934).

    Args:
        found: the number of successes; a mean of several numbers may be fractional.
        of: the number of trials, at least 1.
        level: the probability with which such intervals hold the rate.
    """
    tail = (1 - level) / 2
    low = 0.0 if found <= ROUNDING else float(scipy.stats.beta.ppf(tail, found, of - found + 1))
    high = 1.0 if found >= of - ROUNDING else float(scipy.stats.beta.isf(tail, found + 1, of - found))
    return low, high
