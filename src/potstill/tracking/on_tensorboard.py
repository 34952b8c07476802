"""TensorBoard: event files in the folder of the run. Nothing leaves the machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from potstill.tracking.base import Cell, TrackedRun, Tracker, Value

FOLDER = "tensorboard"


@dataclass(kw_only=True)
class TensorBoard(Tracker):
    """Event files in ``RUN/tensorboard``, each event of which is in the file before the run goes on."""

    package: ClassVar[str] = "tensorboard"
    install: ClassVar[str] = "'potstill[track]'"

    _writer: Any = field(init=False, repr=False, default=None)

    def open(self, run: TrackedRun) -> str:
        """Begin an event file; readers drop what earlier files have of later iterations."""
        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard.summary import hparams

        later = None if run.earlier is None or run.iteration is None else run.iteration + 1
        self.reached = run.iteration
        self._writer = SummaryWriter(str(run.folder / FOLDER), purge_step=later)
        if run.earlier is None:
            for summary in hparams(dict(run.config), {"validation/accuracy": 0.0, "loss": 0.0}):
                self._writer.file_writer.add_summary(summary, 0)
            self._text("settings", _markdown(("setting", "value"), list(run.config.items())), 0)
        return FOLDER

    def scalars(self, values: Mapping[str, float], iteration: int) -> None:
        """Points of curves."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, iteration)
        self._writer.flush()

    def picture(self, name: str, pixels: np.ndarray, iteration: int) -> None:
        """A picture, among the images."""
        self._writer.add_image(name, pixels, iteration, dataformats="HWC")
        self._writer.flush()

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]], iteration: int) -> None:
        """A table, among the texts."""
        self._text(name, _markdown(columns, rows), iteration)

    def outcome(self, values: Mapping[str, Value]) -> None:
        """A table of two columns, among the texts."""
        self._text("outcome", _markdown(("", "value"), list(values.items())), int(values["iterations"]))

    def close(self, *, complete: bool) -> None:
        """Close the event file."""
        self._writer.close()

    def _text(self, name: str, text: str, iteration: int) -> None:
        self._writer.add_text(name, text, iteration)
        self._writer.flush()


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    lines = [list(columns), ["---"] * len(columns), *([_cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Cell) -> str:
    if value is None:
        return "-"
    shown = f"{value:.4g}" if isinstance(value, float) else str(value)
    return " ".join(shown.replace("|", "\\|").split())
