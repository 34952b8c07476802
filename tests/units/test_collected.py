"""Results that come in any order."""

from __future__ import annotations

from dataclasses import dataclass

from potstill.units import Collected


@dataclass(frozen=True)
class Result:
    """A number, or a failure."""

    number: int = 0
    made_on: str | tuple[str, ...] = "here"
    failed: str | None = None


def test_results_count_in_the_order_of_their_places_up_to_the_first_gap():
    collected = Collected[int, Result]()
    assert collected.without_gaps(range(3)) == ([], None)
    for place in (2, 0):
        collected.take(place, Result(place))
    assert collected.without_gaps(range(3)) == ([Result(0)], None)
    collected.take(1, Result(1))
    assert collected.without_gaps(range(3)) == ([Result(0), Result(1), Result(2)], None)


def test_a_failure_ends_what_counts_and_says_why():
    collected = Collected[str, Result]()
    failed = Result(failed="it diverged")
    for place, result in {"a": Result(1), "b": failed, "c": Result(3)}.items():
        collected.take(place, result)
    assert collected.without_gaps("abc") == ([Result(1)], "it diverged")
    assert collected.without_gaps("adb") == ([Result(1)], None), "what comes after a gap does not count yet"


def test_where_results_were_made_is_listed_once_and_without_failures():
    collected = Collected[int, Result]()
    made_on = ["one", ("two", "one"), "three"]
    for place, where in enumerate(made_on):
        collected.take(place, Result(made_on=where, failed="it diverged" if where == "three" else None))
    assert list(collected.made_on) == ["one", "two"]
