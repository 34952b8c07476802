"""A kill in mid-work, as the code that it cuts short sees it."""

from __future__ import annotations

from typing import Any

import pytest

from potstill.engine.trainer import Trainer


class Killed(BaseException):
    """What a kill looks like to the code that it cuts short."""


def killed_after(count: int, monkeypatch: pytest.MonkeyPatch) -> list[Trainer]:
    """Let the training after ``count`` others be killed.

    Returns:
        The trainers of all trainings that began, which grows with each.
    """
    fit, begun = Trainer.fit, list[Trainer]()

    def mortal(trainer: Trainer, *rest: Any, **named: Any) -> None:
        begun.append(trainer)
        if len(begun) == count + 1:
            raise Killed
        fit(trainer, *rest, **named)

    monkeypatch.setattr(Trainer, "fit", mortal)
    return begun
