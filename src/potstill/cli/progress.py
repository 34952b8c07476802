"""What is printed while work goes on: a bar or lines on a terminal, one line a minute in a file or a pipe."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from potstill import inspection
from potstill.cli.output import printed, say
from potstill.runtime.bounds import bytes_in_words
from potstill.runtime.progress import in_words

if TYPE_CHECKING:
    from potstill.data import ImageDataset

FIRST_SECONDS = 10.0
"""Work that takes longer says what it does."""
EVERY_SECONDS = 60.0


class ProgressLines:
    """Lines on stderr about long-running work.

    A terminal shows every message. A file or a pipe gets the latest one after ten seconds, and then one a minute. Both
    get a line every minute, even if there is nothing new to report.

        with ProgressLines("evaluating") as progress:
            evaluate(..., progress=progress)

    Args:
        doing: what is done, until the first message.
        stream: where lines go; stderr by default.
    """

    def __init__(self, doing: str, stream: TextIO | None = None) -> None:
        self._message, self._stream = doing, stream
        self._live = self._out.isatty()
        self._started = self._last = time.monotonic()
        self._untold: list[Callable[[], Iterable[str]]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def _out(self) -> TextIO:
        return self._stream or sys.stderr

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._ended.set()
        self._thread.join()

    def __call__(self, message: str) -> None:
        """Take a message."""
        while self._untold:
            self.announce(*self._untold.pop(0)())
        self._message = message
        if self._live:
            self._last = time.monotonic()
            say(message, to=self._out)

    def introduce(self, dataset: ImageDataset) -> None:
        """Say how a dataset was understood, with the first message about work on it; of several, how each was.

        Until then the work may still be refused, in one line.
        """
        self._untold.append(lambda: inspection.inspect(dataset).summary())

    def remark(self, lines: Sequence[str]) -> None:
        """Say how other data were understood, likewise."""
        if lines:
            self._untold.append(lambda: lines)

    def announce(self, *lines: str) -> None:
        """Print lines at once, on a terminal as in a file or a pipe."""
        say(*lines, to=self._out)

    def _watch(self) -> None:
        wait = FIRST_SECONDS
        while not self._ended.wait(wait):
            now, wait = time.monotonic(), EVERY_SECONDS
            if self._live and now - self._last < EVERY_SECONDS:
                wait = EVERY_SECONDS - (now - self._last)
            else:
                self._last = now
                say(f"{self._message} ({in_words(now - self._started)} so far)", to=self._out)


class DistillationProgress:
    """Iterations, rate, time left, loss and validation accuracy, fed by the driver's events.

    Args:
        stream: the stream to draw on: a bar on a terminal, otherwise one line a minute.
    """

    def __init__(self, stream: TextIO) -> None:
        self._bar = Progress(
            TextColumn("distilling"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(file=stream),
            disable=not stream.isatty(),
        )
        self._lines = None if stream.isatty() else ProgressLines("preparing the distillation", stream)
        self._task = self._bar.add_task("distilling", total=None, rate="", note="")
        self._total = 0
        self._started: tuple[int, float] = (0, 0.0)
        self._notes: dict[str, str] = {}

    def __enter__(self) -> DistillationProgress:
        self._bar.start()
        if self._lines is not None:
            self._lines.__enter__()
        return self

    def __exit__(self, *unused: object) -> None:
        self._bar.stop()
        if self._lines is not None:
            self._lines.__exit__()

    def doing(self, words: str) -> None:
        """Show what is done before the distillation begins."""
        self("doing", {"iteration": 0, "doing": words, "seconds": 0.0})

    def announce(self, *lines: str) -> None:
        """Print lines at once, on a terminal as in a file or a pipe."""
        self._print(lines)

    def __call__(self, event: str, fields: dict[str, Any]) -> None:
        """Show one event."""
        iteration, seconds = fields["iteration"], fields["seconds"]
        if event == "inspection":
            self._print(fields["inspection"].summary())
            return
        if event == "memory":
            rounded = float(f"{fields['planned']:.2g}")
            self._print([f"memory: about {bytes_in_words(rounded)} planned"])
            return
        if event == "out of memory":
            self._print([fields["words"]])
            return
        self._notes.pop("doing", None)
        if event == "doing":
            self._notes["doing"] = fields["doing"]
        elif event in ("start", "resume"):
            self._started, self._total = (iteration, seconds), fields["total"]
            self._bar.update(self._task, total=self._total, completed=iteration)
        elif event == "step":
            self._notes["loss"] = f"loss {fields['loss']:.4g}"
        elif event == "validation":
            self._notes["validation"] = f"validation {fields['accuracy']:.1%}"
        done, spent = iteration - self._started[0], seconds - self._started[1]
        started = self._total > 0  # a resumed run has iterations behind it before it goes on
        rate = f"{done / spent:.2f} it/s" if started and done > 0 and spent > 0 else ""
        note = ", ".join(filter(None, self._notes.values()))
        self._bar.update(self._task, completed=iteration, rate=rate, note=note)
        if self._lines is not None:
            left = f"{in_words((self._total - iteration) * spent / done)} left" if rate else ""
            at = f"iteration {iteration} of {self._total}" if self._total else ""
            self._lines(", ".join(part for part in (at, rate, left, note) if part) or "distilling")

    def _print(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._bar.console.print(printed(line), markup=False, highlight=False, soft_wrap=True)
