"""Progress: the bar of a distillation on a terminal, and what a dataset is when work with it begins."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from potstill.cli.options import progress_line
from potstill.data import ImageDataset
from potstill.inspection import inspect


class DistillationProgress:
    """Iterations, rate, time left, loss and validation accuracy, fed by the driver's events.

    Args:
        stream: the stream to draw on. Unless it is a terminal, it only gets the lines about the dataset.
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
        self._task = self._bar.add_task("distilling", total=None, rate="", note="")
        self._started: tuple[int, float] = (0, 0.0)
        self._notes: dict[str, str] = {}

    def __enter__(self) -> DistillationProgress:
        self._bar.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._bar.stop()

    def doing(self, words: str) -> None:
        """Show what is done before the distillation begins."""
        self("doing", {"iteration": 0, "doing": words, "seconds": 0.0})

    def __call__(self, event: str, fields: dict[str, Any]) -> None:
        """Show one event."""
        iteration, seconds = fields["iteration"], fields["seconds"]
        if event == "inspection":
            for line in fields["inspection"].summary():
                self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
            return
        self._notes.pop("doing", None)
        if event == "doing":
            self._notes["doing"] = fields["doing"]
        elif event in ("start", "resume"):
            self._started = (iteration, seconds)
            self._bar.update(self._task, total=fields["total"], completed=iteration)
        elif event == "step":
            self._notes["loss"] = f"loss {fields['loss']:.4g}"
        elif event == "validation":
            self._notes["validation"] = f"validation {fields['accuracy']:.1%}"
        done, spent = iteration - self._started[0], seconds - self._started[1]
        rate = f"{done / spent:.2f} it/s" if done and spent > 0 else ""
        self._bar.update(self._task, completed=iteration, rate=rate, note=", ".join(filter(None, self._notes.values())))


def introducing(dataset: ImageDataset) -> Callable[[str], None]:
    """Progress of work with a dataset, which first says what it was understood as.

    That is said with the first message, when the work has begun, so that a mistake remains one line.
    """
    untold = [dataset]

    def progress(message: str) -> None:
        if untold:
            print("\n".join(inspect(untold.pop()).summary()), file=sys.stderr)
        progress_line(message)

    return progress
