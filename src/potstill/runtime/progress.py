"""Progress callbacks, and how often to call them.

    pace = Pace()
    for step in range(steps):
        ...
        if pace.due():
            progress(f"step {step} of {steps}")

Short work is silent, and long work is never silent for long.
"""

from __future__ import annotations

import time
from collections.abc import Callable

Progress = Callable[[str], None]
"""Takes a few words on what is being done, such as ``"convnet: training 3 of 5"``; the caller decides where they go."""

QUIET_SECONDS = 10
"""The silence after which a message is due, in seconds."""


def silent(message: str) -> None:
    """Discard the message: the default wherever a :data:`Progress` can be given."""


class Pace:
    """A timer that says when a progress message is due.

    It starts when it is made, so that nothing is reported of work shorter than ``QUIET_SECONDS``.
    """

    def __init__(self) -> None:
        self._started = self._last = time.perf_counter()

    def due(self) -> bool:
        """Whether a message is due; if so, the timer restarts."""
        now = time.perf_counter()
        if now - self._last < QUIET_SECONDS:
            return False
        self._last = now
        return True

    def left(self, done: float, total: float) -> str:
        """The time left in words, such as ``12 min left``, if what remains takes as long as what was done since then.

        Args:
            done: the work done since this timer was made, above 0.
            total: the work that had to be done then, in the same unit.
        """
        return f"{in_words((time.perf_counter() - self._started) * (total - done) / done)} left"


def in_words(seconds: float) -> str:
    """A duration to two digits at most, such as ``40 s``, ``12 min`` or ``3.5 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 10 else f"{hours:,.0f} h"
