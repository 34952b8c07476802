"""Whom long work tells how far it is, and how often."""

from __future__ import annotations

import time
from collections.abc import Callable

Progress = Callable[[str], None]
"""Told in a few words what is being done, now and then."""

QUIET_SECONDS = 20
"""Of silence, after which a word is due."""


def silent(message: str) -> None:
    """Tell nobody."""


class Pace:
    """Tells when a word is due: so that short work is silent, and long work is not for long."""

    def __init__(self) -> None:
        self._heard = time.perf_counter()

    def due(self) -> bool:
        """Whether it is; if so, the silence begins anew."""
        now = time.perf_counter()
        if now - self._heard < QUIET_SECONDS:
            return False
        self._heard = now
        return True
