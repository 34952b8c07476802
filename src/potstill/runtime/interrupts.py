"""Ctrl-C and SIGTERM while something is open that must be closed: closing comes first, then the interruption."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

GRACE_SECONDS = 5.0
"""Seconds after a signal in which another one waits: the exception that the first one raised is still being handled."""


class Interrupts:
    """A context in which signals wait while they are held, and never interrupt what an earlier one has started.

        with Interrupts() as interrupts:
            interrupts.hold()
            thing = open_something()
            try:
                interrupts.release()  # raises KeyboardInterrupt if Ctrl-C was pressed in the meantime
                work(thing)
            except KeyboardInterrupt:
                interrupts.hold()
                thing.close()
                raise

    Outside the main thread, where Python handles no signals, it changes nothing. A signal that is ignored, or that ends
    the process without Python's knowledge, is left as it is.
    """

    def __init__(self) -> None:
        self._held = False
        self._waiting: int | None = None
        self._last = -GRACE_SECONDS
        self._handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if callable(handler := signal.getsignal(number)):
                    self._handlers[number] = handler
                    signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: object, *unused: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if kind is None:
            self.release()

    def hold(self) -> None:
        """From now on, let signals wait."""
        self._held = True

    def release(self) -> None:
        """Handle the signal that has arrived in the meantime, if any, and from now on each as it arrives."""
        self._held = False
        if self._waiting is not None:
            number, self._waiting = self._waiting, None
            self._react(number, None)

    @contextmanager
    def held(self) -> Iterator[None]:
        """A context in which signals wait; after an error they go on waiting, and are dropped with it."""
        self.hold()
        yield
        self.release()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._held or time.monotonic() - self._last < GRACE_SECONDS:
            self._waiting = number
        else:
            self._react(number, frame)

    def _react(self, number: int, frame: FrameType | None) -> None:
        self._last = time.monotonic()
        self._handlers[number](number, frame)


@contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Within this context Ctrl-C changes nothing, neither here nor in processes that are started: another one decides.

    Outside the main thread, where Python handles no signals, it changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
