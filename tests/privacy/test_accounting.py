"""Accounting: never optimistic, monotone in everything, and in agreement with other accountants."""

from __future__ import annotations

import math
import sys
from importlib.metadata import PackageNotFoundError
from typing import NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from potstill.privacy import Mechanism, accounting, calibrated, rounded_up, spent
from potstill.runtime.errors import UserError

pytest.importorskip("dp_accounting")

DELTA = 1e-5
REGIMES = [
    Mechanism(1.3, 0.02, 150),
    Mechanism(0.6, 256 / 60_000, 2_000),
    Mechanism(1.8, 256 / 60_000, 10_000),
    Mechanism(4.0, 0.4, 5),
]


def exact_epsilon(mechanism: Mechanism, delta: float) -> float:
    """Without sampling: Balle and Wang, ICML 2018, theorem 8; T queries are one with noise sigma / sqrt(T)."""
    mu = math.sqrt(mechanism.queries) / mechanism.noise_multiplier

    def excess(epsilon: float) -> float:
        log_second = epsilon + norm.logcdf(-mu / 2 - epsilon / mu)
        return float(norm.cdf(mu / 2 - epsilon / mu)) - math.exp(log_second) - delta

    low, high = 0.0, 500.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return low


@pytest.mark.parametrize("mechanism", [Mechanism(5.0, 1.0, 1), Mechanism(40.0, 1.0, 100), Mechanism(0.7, 1.0, 1)])
def test_without_sampling_it_is_a_tight_bound_of_the_exact_epsilon(mechanism: Mechanism):
    exact = exact_epsilon(mechanism, DELTA)
    assert exact <= spent(mechanism, DELTA) <= 1.002 * exact + 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("mechanism", REGIMES)
def test_it_lies_between_the_lower_bound_and_the_estimate_of_opacus(mechanism: Mechanism):
    opacus = pytest.importorskip("opacus.accountants")
    renyi, numerical = opacus.RDPAccountant(), opacus.PRVAccountant()
    for other in (renyi, numerical):
        other.history = [(mechanism.noise_multiplier, mechanism.sampling_rate, mechanism.queries)]
    ours = spent(mechanism, DELTA)
    error = 0.002
    estimate = numerical.get_epsilon(DELTA, eps_error=error)  # the upper end of an interval of twice the error
    assert estimate - 2 * error <= ours <= 1.01 * estimate
    assert ours <= renyi.get_epsilon(DELTA)


@pytest.mark.slow
@settings(max_examples=4, deadline=None)
@given(
    noise=st.floats(1.5, 20),
    rate=st.floats(1e-3, 0.9),
    queries=st.integers(1, 100),
    more=st.floats(1.05, 2),
)
def test_epsilon_falls_with_noise_and_delta_and_rises_with_rate_and_queries(
    noise: float, rate: float, queries: int, more: float
):
    here, tolerance = spent(Mechanism(noise, rate, queries), DELTA), 1 + 1e-3
    assert spent(Mechanism(noise * more, rate, queries), DELTA) <= here * tolerance
    assert spent(Mechanism(noise, rate, queries), DELTA * more) <= here * tolerance
    assert spent(Mechanism(noise, min(rate * more, 1.0), queries), DELTA) * tolerance >= here
    assert spent(Mechanism(noise, rate, math.ceil(queries * more)), DELTA) * tolerance >= here


@pytest.mark.parametrize(("epsilon", "rate", "queries"), [(1.0, 0.02, 150), (0.3, 1.0, 10), (8.0, 0.4, 5)])
def test_a_calibrated_mechanism_spends_what_is_allowed_and_not_more(epsilon: float, rate: float, queries: int):
    mechanism = calibrated(epsilon, DELTA, rate, queries)
    assert 0.998 * epsilon < spent(mechanism, DELTA) <= epsilon
    assert mechanism == Mechanism(rounded_up(mechanism.noise_multiplier), rate, queries)


@given(value=st.floats(1e-6, 1e6))
def test_rounding_never_goes_down(value: float):
    rounded = rounded_up(value)
    assert value <= rounded <= value * 1.0003
    assert rounded == float(f"{rounded:.5g}")


def test_an_epsilon_that_protects_nothing_is_refused():
    with pytest.raises(UserError, match=r"epsilon=1e\+06.*protects nothing"):
        calibrated(1e6, DELTA, 0.1, 10)


def test_without_the_accountant_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    def absent(name: str) -> NoReturn:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(accounting, "version", absent)
    with pytest.raises(UserError, match=r"needs dp-accounting.*pip install 'potstill\[private\]'"):
        accounting.accountant()


def test_a_broken_accountant_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    with pytest.raises(UserError, match="dp-accounting is installed but cannot be imported"):
        accounting.accountant()
