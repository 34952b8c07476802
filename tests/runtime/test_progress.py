"""Pace: when a message is due, and how long the rest will take."""

from __future__ import annotations

import pytest

from potstill.runtime import progress
from potstill.runtime.progress import Pace, in_words


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    return now


def test_a_message_is_due_after_a_silence(clock: list[float]):
    pace = Pace()
    clock[0] += 9
    assert not pace.due()
    clock[0] += 1
    assert pace.due()
    assert not pace.due()


def test_the_rest_takes_as_long_as_what_was_done(clock: list[float]):
    pace = Pace()
    clock[0] += 30
    assert pace.left(1, 4) == "90 s left"
    assert pace.left(3, 3) == "0 s left"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (99, "99 s"), (120, "2 min"), (5999, "100 min"), (7200, "2.0 h"), (360_000, "100 h")],
)
def test_durations_in_words(seconds: float, words: str):
    assert in_words(seconds) == words
