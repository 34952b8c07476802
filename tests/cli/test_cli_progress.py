"""Progress: a terminal shows everything, a file gets a line a minute, and nobody waits in silence."""

from __future__ import annotations

import io
import time
from dataclasses import replace

import pytest

from potstill.cli import progress as progress_module
from potstill.cli.progress import DistillationProgress, ProgressLines
from tests.small import small_digits


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute takes a tenth of a second here."""
    monkeypatch.setattr(progress_module, "FIRST_SECONDS", 0.05)
    monkeypatch.setattr(progress_module, "EVERY_SECONDS", 0.1)


def wait_for(stream: io.StringIO, lines: int) -> list[str]:
    deadline = time.monotonic() + 20
    while len(stream.getvalue().splitlines()) < lines and time.monotonic() < deadline:
        time.sleep(0.01)
    return stream.getvalue().splitlines()


def test_short_work_is_silent_in_a_file_and_shown_on_a_terminal():
    file, terminal = io.StringIO(), Terminal()
    for stream in (file, terminal):
        with ProgressLines("evaluating", stream) as progress:
            progress("1 of 5")
    assert file.getvalue() == ""
    assert terminal.getvalue() == "1 of 5\n"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_long_work_is_never_silent(kind: type[io.StringIO]):
    stream = kind()
    with ProgressLines("evaluating", stream):
        lines = wait_for(stream, 3)
    assert len(lines) >= 3
    assert all(line.startswith("evaluating (") and line.endswith(" so far)") for line in lines)


@pytest.mark.usefixtures("quick")
def test_a_file_gets_the_latest_message_only():
    stream = io.StringIO()
    with ProgressLines("evaluating", stream) as progress:
        for number in range(100):
            progress(f"{number} of 100")
        (first, *_) = wait_for(stream, 1)
    assert first == "99 of 100 (0 s so far)"


def test_an_announcement_is_made_at_once():
    stream = io.StringIO()
    with ProgressLines("estimating", stream) as progress:
        progress.announce("about 3.5 h")
        assert stream.getvalue() == "about 3.5 h\n"


def test_every_dataset_is_introduced_once_and_in_order():
    stream = io.StringIO()
    with ProgressLines("learning", stream) as progress:
        for name in ("first", "second"):
            progress.introduce(replace(small_digits(), name=name))
        assert stream.getvalue() == "", "the work may still be refused"
        progress("1 of 5")
        progress("2 of 5")
    said = [line for line in stream.getvalue().splitlines() if "images of 10 classes" in line]
    assert [line.partition(":")[0] for line in said] == ["first", "second"]


@pytest.mark.usefixtures("quick")
def test_a_distillation_says_how_far_it_is_and_how_long_it_takes():
    stream = io.StringIO()
    with DistillationProgress(stream) as progress:
        progress("start", {"iteration": 0, "seconds": 1.0, "total": 100})
        progress("step", {"iteration": 20, "seconds": 11.0, "loss": 0.5})
        (first, *_) = wait_for(stream, 1)
    assert first == "iteration 20 of 100, 2.00 it/s, 40 s left, loss 0.5 (0 s so far)"


@pytest.mark.usefixtures("quick")
def test_a_resumed_run_has_no_rate_before_it_goes_on():
    stream = io.StringIO()
    with DistillationProgress(stream) as progress:
        progress("doing", {"iteration": 80, "seconds": 0.02, "doing": "inspecting the dataset"})
        (first, *_) = wait_for(stream, 1)
    assert first == "inspecting the dataset (0 s so far)"
