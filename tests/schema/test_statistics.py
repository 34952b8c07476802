"""Mean, sample deviation and Student's t interval."""

from __future__ import annotations

from itertools import pairwise
from statistics import stdev
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_ind

from potstill.schema.statistics import (
    bootstrap_interval,
    confidence_interval,
    corrected,
    paired_difference,
    summary,
    welch_interval,
)

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


@given(fractions, fractions)
def test_welchs_interval_is_that_of_scipy(first: list[float], second: list[float]):
    found = welch_interval(first, second)
    if min(map(stdev, (first, second))) < 1e-6:
        return  # without any spread there is none, and with hardly any scipy warns of its own rounding
    expected: Any = ttest_ind(first, second, equal_var=False)
    assert found == pytest.approx(tuple(expected.confidence_interval()), abs=1e-9)


def test_equal_repeats_on_one_side_give_an_interval_without_a_warning(recwarn: pytest.WarningsRecorder):
    assert welch_interval([0.5, 0.5, 0.5], [0.4, 0.42]) is not None
    assert welch_interval([0.5, 0.5], [0.4, 0.4]) is None
    assert not recwarn.list


def test_another_level():
    """t(0.95, 2) = 2.919986."""
    low, _ = confidence_interval([0.4, 0.5, 0.6], level=0.9) or (0, 0)
    assert low == pytest.approx(0.5 - 2.919986 * 0.1 / 3**0.5, abs=1e-7)


def test_one_value_has_no_interval():
    assert confidence_interval([0.9]) is None
    assert summary([0.9]) == {"accuracies": [0.9], "mean": 0.9, "std": None, "ci95": None, "bootstrap95": None}


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


def test_the_bootstrap_repeats_itself_and_surrounds_the_mean():
    values = [0.4, 0.5, 0.6, 0.55, 0.48]
    low, high = bootstrap_interval(values) or (1, 0)
    assert bootstrap_interval(values) == (low, high)
    assert 0.4 < low < sum(values) / 5 < high < 0.6
    wide = confidence_interval(values) or (1, 0)
    assert wide[0] < low < high < wide[1], "five repeats are few for it, as its docstring says"


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.6], [0.5, 0.5, 0.5]])
def test_too_few_or_equal_values_are_not_resampled(values: list[float]):
    assert bootstrap_interval(values) is None


def test_a_paired_difference_by_hand():
    """Differences 0.1, 0.2, 0.3: mean 0.2, s = 0.1, t = 0.2 / (0.1 / √3) = 3.4641 with 2 degrees: p = 0.0742."""
    found = paired_difference([0.6, 0.8, 1.0], [0.5, 0.6, 0.7])
    assert found is not None
    assert found.mean == pytest.approx(0.2)
    half = 4.302653 * 0.1 / 3**0.5
    assert found.interval == pytest.approx((0.2 - half, 0.2 + half), abs=1e-6)
    assert found.p == pytest.approx(0.0742, abs=1e-4)
    assert found.repeats == 3


def test_pairs_show_what_their_spread_hides():
    """Both sets vary much more from repeat to repeat than they differ."""
    first, second = [0.2, 0.5, 0.9, 0.4], [0.19, 0.489, 0.891, 0.39]
    found = paired_difference(first, second)
    assert found is not None
    assert found.p < 0.001


def test_only_common_repeats_are_compared():
    found = paired_difference([0.5, 0.6, 0.9], [0.4, 0.45])
    assert found is not None
    assert found.repeats == 2
    assert paired_difference([0.5], [0.4]) is None


@pytest.mark.filterwarnings("error")
def test_equal_differences_show_nothing():
    equal = paired_difference([0.5, 0.6], [0.5, 0.6])
    assert equal is not None
    assert (equal.mean, equal.p) == (0.0, 1.0)
    assert paired_difference([0.6, 0.7], [0.5, 0.6]) is None, "of chance such pairs say nothing"
    assert paired_difference([0.75, 0.5], [0.5, 0.25]) is None


def test_holm_by_hand():
    """Holm's own scheme: the smallest times 4, the next times 3, never less than the one before."""
    found = corrected({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert found == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert list(found) == ["a", "b", "c", "d"]
    assert corrected({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}


@given(st.dictionaries(st.integers(), st.floats(0, 1), max_size=8))
def test_a_correction_never_lowers_and_keeps_the_order(p_values: dict[int, float]):
    found = corrected(p_values)
    assert all(p_values[key] <= found[key] <= 1 for key in p_values)
    by_p = sorted(p_values, key=p_values.__getitem__)
    assert all(found[one] <= found[other] for one, other in pairwise(by_p))
