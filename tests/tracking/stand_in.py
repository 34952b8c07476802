"""A tracker that keeps what it is told, and one that fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from potstill.tracking import TrackedRun, Tracker


@dataclass(kw_only=True)
class Recorder(Tracker):
    """Keeps every call as its name and arguments.

    Attributes:
        label: an option.
    """

    package: ClassVar[str] = "json"
    install: ClassVar[str] = "json"

    label: str = ""
    told: list[tuple[Any, ...]] = field(default_factory=list, init=False)

    def open(self, run: TrackedRun) -> str:
        self.told.append(("open", run))
        return run.earlier or "number 1"

    def scalars(self, values: Mapping[str, float], iteration: int) -> None:
        self.told += [(name, iteration, value) for name, value in values.items()]

    def picture(self, name: str, pixels: np.ndarray, iteration: int) -> None:
        self.told.append((name, iteration, pixels))

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], iteration: int) -> None:
        self.told.append((name, iteration, [dict(zip(columns, row, strict=True)) for row in rows]))

    def outcome(self, values: Mapping[str, Any]) -> None:
        self.told.append(("outcome", dict(values)))

    def close(self, *, complete: bool) -> None:
        self.told.append(("close", complete))

    def of(self, name: str) -> list[list[Any]]:
        """What it was told under a name, without the name."""
        return [rest for each, *rest in self.told if each == name]


@dataclass(kw_only=True)
class Forgetful(Recorder):
    """One that drops what it has of later iterations when a run goes on."""

    def open(self, run: TrackedRun) -> str:
        self.reached = run.iteration
        return super().open(run)


@dataclass(kw_only=True)
class Losing(Recorder):
    """One that has only the first iteration, whatever it was told, if it was not closed."""

    def open(self, run: TrackedRun) -> str:
        self.reached = 1 if run.killed else None
        return super().open(run)


@dataclass(kw_only=True)
class Failing(Recorder):
    """Fails when it is told of a certain iteration."""

    def scalars(self, values: Mapping[str, float], iteration: int) -> None:
        if iteration == 3:
            raise ConnectionError("----\nno http://me:s3@secret@host/x\nis gone")
        super().scalars(values, iteration)


@dataclass(kw_only=True)
class Stuck(Recorder):
    """Fails when it has begun to open."""

    def open(self, run: TrackedRun) -> str:
        super().open(run)
        raise ConnectionError("half of it is there")


@dataclass(kw_only=True)
class Elsewhere(Recorder):
    """Keeps its runs where it is told to.

    Attributes:
        store: where.
    """

    store: str = ""

    def where(self) -> Mapping[str, str]:
        return {"store": self.store}


@dataclass(kw_only=True)
class Demanding(Recorder):
    """Has an option that must be given, and takes few values of it; cannot be used with others.

    Attributes:
        file: the option.
    """

    file: str

    def __post_init__(self) -> None:
        if self.file == "no":
            raise ValueError("not http://me:secret@host")

    def check(self) -> None:
        if self.file == "exit":
            raise SystemExit(1)
        if self.file == "late":
            raise OSError("it is late")


class Unfinished(Tracker):
    """Defines nothing."""
