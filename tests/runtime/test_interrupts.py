"""Closing comes first, then the interruption; and nothing but a kill ends the closing."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from potstill.runtime import interrupts
from potstill.runtime.interrupts import Interrupts


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """SIGTERM as the command line has it; both handlers are those of before afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def press(number: int = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)
    for _ in range(3):
        pass  # handlers run between two steps of the interpreter


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_interrupts_unless_it_is_held(number: signal.Signals):
    with Interrupts(), pytest.raises(KeyboardInterrupt):
        press(number)
    with Interrupts() as held:
        held.hold()
        press(number)
        with pytest.raises(KeyboardInterrupt):
            held.release()
        held.release()  # once is enough


def test_a_signal_that_waited_to_the_end_is_not_lost():
    held = Interrupts()
    held.__enter__()
    held.hold()
    press()
    with pytest.raises(KeyboardInterrupt):
        held.__exit__(None)


def test_the_second_signal_does_not_interrupt_what_the_first_one_began():
    closed = []

    def interrupted() -> None:
        with Interrupts() as held:
            try:
                press()
            except KeyboardInterrupt:
                press()  # before the closing holds signals
                held.hold()
                press()
                closed.append(True)
                press()
                raise

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert closed == [True]


def test_an_interruption_that_was_swallowed_can_be_repeated(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(interrupts, "GRACE_SECONDS", 0.0)
    with Interrupts():
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                press()


def test_handlers_are_those_of_before_afterwards():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_an_ignored_signal_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interrupts():
        press()


def test_outside_the_main_thread_nothing_changes():
    failed = []

    def work() -> None:
        try:
            with Interrupts() as held:
                held.hold()
                held.release()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not failed
