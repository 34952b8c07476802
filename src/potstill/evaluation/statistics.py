"""Mean, spread and interval of repeated accuracies: never a bare mean."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from scipy import stats


def confidence_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float] | None:
    """Student's t interval for the mean of repeats; None for fewer than two.

    The bounds are fractions and are cut to [0, 1].
    """
    if len(values) < 2:
        return None
    half = stats.t.ppf((1 + level) / 2, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    mean = statistics.fmean(values)
    return max(0.0, float(mean - half)), min(1.0, float(mean + half))


def standard_deviation(values: Sequence[float]) -> float | None:
    """The sample standard deviation; None for fewer than two."""
    return statistics.stdev(values) if len(values) > 1 else None


def summary(accuracies: Sequence[float]) -> dict[str, float | list[float] | None]:
    """What is recorded of repeated accuracies (fractions): all of them, mean, sample std and 95 % interval."""
    interval = confidence_interval(accuracies)
    return {
        "accuracies": list(accuracies),
        "mean": statistics.fmean(accuracies),
        "std": standard_deviation(accuracies),
        "ci95": list(interval) if interval else None,
    }
