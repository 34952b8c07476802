"""Rank correlations: worked by hand, against SciPy, and what cannot be correlated."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from potstill.schema.rank_correlation import rank_correlation, spearman_difference

# Accuracies of a few hundred test images: many ties.
values = st.integers(0, 30).map(lambda count: count / 30)
pairs = st.lists(st.tuples(values, values), min_size=3, max_size=12)


def test_a_correlation_by_hand():
    # Ranks 1 2 3 4 against 2 1 4 3: rho = 1 - 6 · 4 / (4 · 15); four of six pairs agree.
    found = rank_correlation([0.1, 0.2, 0.3, 0.4], [0.6, 0.5, 0.9, 0.8])
    assert found is not None
    assert found.candidates == 4
    assert found.spearman == pytest.approx(0.6)
    assert found.kendall == pytest.approx((4 - 2) / 6)


def test_ties_by_hand():
    # Ranks 1.5 1.5 3 against 1 2 3: covariance 1.5, variances 1.5 and 2. Two pairs agree, one is tied.
    found = rank_correlation([0.5, 0.5, 0.7], [0.1, 0.2, 0.3])
    assert found is not None
    assert found.spearman == pytest.approx(1.5 / math.sqrt(1.5 * 2))
    assert found.kendall == pytest.approx(2 / math.sqrt(2 * 3))


def test_accuracies_that_differ_by_rounding_alone_are_tied():
    assert rank_correlation([0.1 + 0.2, 0.3, 0.7], [0.1, 0.2, 0.3]) == rank_correlation(
        [0.3, 0.3, 0.7], [0.1, 0.2, 0.3]
    )


@settings(max_examples=40, deadline=None)
@given(pairs)
def test_it_is_what_scipy_computes(drawn: list[tuple[float, float]]):
    first, second = [x for x, _ in drawn], [y for _, y in drawn]
    found = rank_correlation(first, second)
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert found is None
        return
    assert found is not None
    assert found.spearman == pytest.approx(stats.spearmanr(first, second)[0], abs=1e-12)
    assert found.kendall == pytest.approx(stats.kendalltau(first, second)[0], abs=1e-12)
    turned = rank_correlation([-x for x in first], [math.exp(y) for y in second])
    assert turned is not None
    assert turned.spearman == pytest.approx(-found.spearman)
    assert turned.kendall == pytest.approx(-found.kendall)


@settings(max_examples=15, deadline=None)
@given(pairs)
def test_the_bootstrap_is_that_of_resampled_candidates(drawn: list[tuple[float, float]]):
    first, second = (np.array([pair[axis] for pair in drawn]) for axis in (0, 1))
    found = rank_correlation(first.tolist(), second.tolist())
    rows = np.random.default_rng(0).integers(0, len(drawn), (2_000, len(drawn)))
    with np.errstate(invalid="ignore", divide="ignore"):
        taus = np.array([_tau(first[row], second[row]) for row in rows])
    if found is None:
        return
    valid = taus[~np.isnan(taus)]
    if found.kendall95 is None:
        assert 2 * len(valid) < len(taus)
    else:
        assert found.kendall95 == pytest.approx(tuple(np.percentile(valid, [2.5, 97.5])), abs=1e-9)
        assert found.kendall95[0] <= found.kendall95[1]


def _tau(x: np.ndarray, y: np.ndarray) -> float:
    across, along = (np.sign(each[:, None] - each[None]) for each in (x, y))
    return (across * along).sum() / np.sqrt(np.abs(across).sum() * np.abs(along).sum())


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([], []),
        ([0.5], [0.5]),
        ([0.1, 0.2], [0.1, 0.2]),
        ([0.5] * 4, [0.1, 0.2, 0.3, 0.4]),
        ([0.1, 0.2, 0.3], [1.0] * 3),
    ],
)
def test_no_number_where_there_is_nothing_to_correlate(first: list[float], second: list[float]):
    assert rank_correlation(first, second) is None
    assert spearman_difference(first, second, second) is None


def test_values_of_other_candidates_are_a_mistake_of_the_program():
    with pytest.raises(ValueError, match="3 and 4 values"):
        rank_correlation([0.1, 0.2, 0.3], [0.1, 0.2, 0.3, 0.4])


def test_many_candidates_have_a_narrow_interval_and_few_a_wide_one():
    generator = np.random.default_rng(1)
    truth = generator.normal(size=200)
    seen = truth + 0.7 * generator.normal(size=200)
    many, few = rank_correlation(seen.tolist(), truth.tolist()), rank_correlation(seen[:8].tolist(), truth[:8].tolist())
    assert many is not None
    assert few is not None
    assert many.spearman95 is not None
    assert few.spearman95 is not None
    assert many.spearman95[0] < many.spearman < many.spearman95[1]
    assert many.spearman95[1] - many.spearman95[0] < 0.2 < few.spearman95[1] - few.spearman95[0]


def test_a_difference_is_that_on_the_same_candidates():
    generator = np.random.default_rng(2)
    truth = generator.normal(size=40)
    good, bad = (truth + noise * generator.normal(size=40) for noise in (0.2, 3.0))
    same = spearman_difference(good.tolist(), good.tolist(), truth.tolist())
    assert same == (0.0, (0.0, 0.0))
    better = spearman_difference(good.tolist(), bad.tolist(), truth.tolist())
    worse = spearman_difference(bad.tolist(), good.tolist(), truth.tolist())
    assert better is not None
    assert worse is not None
    assert better[1] is not None
    assert worse[1] is not None
    assert better[1][0] > 0
    assert worse[0] == pytest.approx(-better[0])
    assert worse[1] == pytest.approx((-better[1][1], -better[1][0]), abs=1e-9)
