"""How well one ranking predicts another: Spearman's and Kendall's correlation with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import scipy

from potstill.schema.statistics import ROUNDING

LEVEL = 0.95
SAMPLES = 2_000
"""Resamples of the candidates behind an interval."""
FEWEST = 3
"""Over fewer candidates no correlation is stated: of two it is always 1 or -1."""
DIGITS = 9
"""Values that agree to so many digits after the point are tied."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class RankCorrelation:
    """The correlation of two rankings of the same candidates.

    Attributes:
        candidates: their number.
        spearman: Spearman's rho; equal values share their mean rank.
        spearman95: its 95 % interval, the percentiles of resampled candidates; None if most resamples have no
            correlation, because all their values are equal.
        kendall: Kendall's tau-b, in which equal values count as neither agreement nor disagreement.
        kendall95: its interval, likewise.
    """

    candidates: int
    spearman: float
    spearman95: Interval | None
    kendall: float
    kendall95: Interval | None

    def to_json(self) -> dict[str, Any]:
        """Its fields."""
        return {
            "candidates": self.candidates,
            "spearman": self.spearman,
            "spearman95": None if self.spearman95 is None else list(self.spearman95),
            "kendall": self.kendall,
            "kendall95": None if self.kendall95 is None else list(self.kendall95),
        }


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> RankCorrelation | None:
    """Correlate two values of the same candidates by their ranks.

    The same values always give the same intervals.

    Args:
        first: a value of each candidate.
        second: another value of each candidate, in the same order.

    Returns:
        The correlation; None for fewer than three candidates, or if all values of either are equal.
    """
    return _correlation(tuple(first), tuple(second))


def spearman_difference(
    first: Sequence[float], second: Sequence[float], truth: Sequence[float]
) -> tuple[float, Interval | None] | None:
    """How much better one value predicts the ranking by the true value than another does.

    Args:
        first: a value of each candidate.
        second: another value of each candidate.
        truth: what both predict, in the same order.

    Returns:
        Spearman's rho of the first with the truth minus that of the second, and the 95 % interval of the difference,
        for which both are computed on the same resampled candidates; None where either has no correlation.
    """
    return _difference(tuple(first), tuple(second), tuple(truth))


@cache
def _correlation(first: tuple[float, ...], second: tuple[float, ...]) -> RankCorrelation | None:
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} values are not of the same candidates")
    if len(first) < FEWEST or _constant(first) or _constant(second):
        return None
    xs, ys, drawn = _rounded(first), _rounded(second), _resamples(len(first))
    whole = np.arange(len(first))[None]
    return RankCorrelation(
        candidates=len(first),
        spearman=float(_spearman(xs, ys, whole)[0]),
        spearman95=_interval(_spearman(xs, ys, drawn)),
        kendall=float(_kendall(xs, ys, whole)[0]),
        kendall95=_interval(_kendall(xs, ys, drawn)),
    )


@cache
def _difference(
    first: tuple[float, ...], second: tuple[float, ...], truth: tuple[float, ...]
) -> tuple[float, Interval | None] | None:
    correlations = [rank_correlation(values, truth) for values in (first, second)]
    if correlations[0] is None or correlations[1] is None:
        return None
    true, drawn = _rounded(truth), _resamples(len(truth))
    resampled = _spearman(_rounded(first), true, drawn) - _spearman(_rounded(second), true, drawn)
    return correlations[0].spearman - correlations[1].spearman, _interval(resampled)


def _constant(values: Sequence[float]) -> bool:
    return max(values) - min(values) < ROUNDING


def _rounded(values: Sequence[float]) -> np.ndarray:
    return np.round(np.asarray(values, float), DIGITS)


def _resamples(count: int) -> np.ndarray:
    """Indices (SAMPLES, count) of candidates, drawn with replacement; the same in every call."""
    return np.random.default_rng(0).integers(0, count, (SAMPLES, count))


def _spearman(xs: np.ndarray, ys: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Pearson's correlation of the ranks in each resample; NaN where all values are equal."""
    ranks = [scipy.stats.rankdata(values[drawn], axis=1) for values in (xs, ys)]
    x, y = (rank - rank.mean(1, keepdims=True) for rank in ranks)
    return _ratio((x * y).sum(1), (x * x).sum(1) * (y * y).sum(1))


def _kendall(xs: np.ndarray, ys: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Kendall's tau-b in each resample, from how often each candidate is in it; NaN where all values are equal."""
    times = np.stack([np.bincount(row, minlength=len(xs)) for row in drawn]).astype(float)
    x, y = (np.sign(values[:, None] - values[None]) for values in (xs, ys))

    def pairs(kind: np.ndarray) -> np.ndarray:
        return ((times @ kind) * times).sum(1)

    return _ratio(pairs(x * y), pairs(np.abs(x)) * pairs(np.abs(y)))


def _ratio(agreement: np.ndarray, squares: np.ndarray) -> np.ndarray:
    certain = squares > 0
    ratio = agreement / np.sqrt(np.where(certain, squares, 1))
    return np.where(certain, np.clip(ratio, -1, 1), np.nan)


def _interval(resampled: np.ndarray) -> Interval | None:
    """The percentiles of the resamples that have a value; None if fewer than half have one."""
    valid = resampled[~np.isnan(resampled)]
    if 2 * len(valid) < len(resampled):
        return None
    low, high = np.percentile(valid, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)
