"""The events that a distillation reports, and its result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from potstill.distillation.settings import Settings
from potstill.methods import Method
from potstill.runtime.progress import Pace, Progress
from potstill.schema.manifest import Status
from potstill.synthetic import SyntheticSet

Listener = Callable[[str, dict[str, Any]], None]
"""Called with the name and the fields of every event."""


@dataclass(frozen=True, kw_only=True)
class DistillationResult:
    """The result of a distillation.

    Attributes:
        synthetic: the set: the best by validation, or the last one if there was no validation.
        settings: the settings with every default filled in.
        status: how the run ended.
        folder: the folder of the run; None if nothing was written.
    """

    synthetic: SyntheticSet
    settings: Settings[Method]
    status: Status
    folder: Path | None


def log_progress(progress: Progress, name: str) -> Listener:
    """A listener that regularly reports the iteration and loss of the distillation called ``name``."""
    pace, total = Pace(), 0

    def listen(event: str, fields: dict[str, Any]) -> None:
        nonlocal total
        if event == "preparation":
            progress(f"{name}: {fields['doing']}")
        elif event in ("start", "resume"):
            total = fields["total"]
        elif event == "step" and pace.due():
            progress(f"{name}: iteration {fields['iteration']} of {total}, loss {fields['loss']:.3g}")

    return listen
