"""Ranges of options."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan

import pytest

from potstill.runtime.bounds import (
    all_finite,
    at_least,
    below_one,
    bytes_in_words,
    check_memory,
    memory_bytes,
    memory_limit,
    positive,
)
from potstill.runtime.errors import UserError


@dataclass(frozen=True)
class Options:
    count: int | None = 3
    rate: float | None = 0.5
    text: str = "inf"


def test_what_is_in_range_or_not_given_passes():
    for options in (Options(), Options(count=None, rate=None)):
        at_least(options, count=3, rate=0.5)
        positive(options, "count", "rate")
        below_one(options, "rate")
        all_finite(options)


def test_whole_numbers_beyond_the_range_of_floats_are_compared():
    at_least(Options(rate=10**400), rate=1)
    with pytest.raises(UserError, match="is too small"):
        at_least(Options(rate=-(10**400)), rate=1)


@pytest.mark.parametrize(
    ("check", "value", "message"),
    [
        (lambda o: at_least(o, rate=1), 0.5, "`rate=0.5` is too small; use `rate=1` or more"),
        (lambda o: at_least(o, rate=0), nan, "`rate=nan` is not a finite number; use 0 or more"),
        (lambda o: at_least(o, rate=0), inf, "`rate=inf` is not a finite number; use 0 or more"),
        (lambda o: positive(o, "rate"), 0.0, "`rate=0.0` is not positive; use a value above 0"),
        (lambda o: positive(o, "rate"), nan, "`rate=nan` is not a finite number; use a value above 0"),
        (lambda o: below_one(o, "rate"), 1.0, "`rate=1.0` is not in [0, 1); use a value from 0 to below 1"),
        (lambda o: below_one(o, "rate"), -0.1, "`rate=-0.1` is not in [0, 1); use a value from 0 to below 1"),
        (lambda o: below_one(o, "rate"), nan, "`rate=nan` is not in [0, 1); use a value from 0 to below 1"),
        (all_finite, inf, "`rate=inf` is not a finite number; use a finite value"),
        (all_finite, nan, "`rate=nan` is not a finite number; use a finite value"),
    ],
)
def test_what_is_out_of_range_is_refused(check, value, message):
    with pytest.raises(UserError) as error:
        check(Options(rate=value))
    assert str(error.value) == message


def test_a_memory_limit_holds_within_its_context_and_the_least_of_several_counts():
    whole = memory_bytes()
    with memory_limit(3e6):
        assert memory_bytes() == 3e6
        with memory_limit(5e6):
            assert memory_bytes() == 3e6
        with memory_limit(None), memory_limit(2e6), pytest.raises(UserError, match=r"and the memory limit is 2 MB"):
            check_memory("it", 2.5e6, "use less")
        check_memory("it", 2.5e6, "use less")
    assert memory_bytes() == whole
    with memory_limit(whole + 1e12):
        assert memory_bytes() == whole


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (31360, "31.4 kB"), (999_600, "1 MB"), (4e9, "4 GB"), (2.5e15, "2,500 TB")],
)
def test_bytes_in_words(number: float, words: str):
    assert bytes_in_words(number) == words
