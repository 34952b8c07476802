"""Mean, sample deviation and Student's t interval."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.evaluation.statistics import confidence_interval, summary

fractions = st.lists(st.floats(0, 1), min_size=2, max_size=20)


def test_interval_by_hand():
    """Mean 0.8, sample deviation 0.1, three values: 0.8 ± 4.302653 * 0.1 / √3, the t quantile from a table."""
    low, high = confidence_interval([0.7, 0.8, 0.9]) or (0, 0)
    assert low == pytest.approx(0.8 - 4.302653 * 0.1 / 3**0.5, abs=1e-7)
    assert high == 1.0  # 1.048 is no accuracy


def test_interval_of_five_by_hand():
    """Mean 0.5, squared deviations 0.001 in all, so s² = 0.00025; t(0.975, 4) = 2.776445."""
    half = 2.776445 * 0.00025**0.5 / 5**0.5
    assert confidence_interval([0.48, 0.49, 0.50, 0.51, 0.52]) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-8)


def test_another_level():
    """t(0.95, 2) = 2.919986."""
    low, _ = confidence_interval([0.4, 0.5, 0.6], level=0.9) or (0, 0)
    assert low == pytest.approx(0.5 - 2.919986 * 0.1 / 3**0.5, abs=1e-7)


def test_one_value_has_no_interval():
    assert confidence_interval([0.9]) is None
    assert summary([0.9]) == {"accuracies": [0.9], "mean": 0.9, "std": None, "ci95": None}


def test_summary_by_hand():
    described = summary([0.4, 0.5, 0.6])
    assert described["mean"] == pytest.approx(0.5)
    assert described["std"] == pytest.approx(0.1)
    assert described["ci95"] == pytest.approx([0.5 - 4.302653 * 0.1 / 3**0.5, 0.5 + 4.302653 * 0.1 / 3**0.5], abs=1e-6)
    assert described["accuracies"] == [0.4, 0.5, 0.6]


@given(fractions)
def test_interval_holds_the_mean_and_stays_a_fraction(values: list[float]):
    low, high = confidence_interval(values) or (1, 0)
    assert 0 <= low <= sum(values) / len(values) + 1e-12
    assert sum(values) / len(values) - 1e-12 <= high <= 1
