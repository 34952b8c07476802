"""A unit that takes no time, and what tests of units share."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from potstill.runtime.compute import CPU
from potstill.runtime.errors import UserError
from potstill.schema import Record
from potstill.units import Job, Materials, Unit, Workplace


@dataclass(frozen=True, kw_only=True)
class Square(Record):
    """The result of ``Squaring``."""

    value: int


@dataclass(frozen=True, kw_only=True)
class Squaring(Unit[Square]):
    """Squares a number.

    Attributes:
        number: the number.
        does: something to do before: ``nothing``, ``fail``, ``die``, ``die once``, ``sleep``, ``sleep once``, ``nap``,
            or ``meet``: wait until another unit has begun in another process.
        trace: a file to which a line is added for each time that the unit is done, or nothing.
    """

    result: ClassVar[type[Record]] = Square

    number: int
    does: str = "nothing"
    trace: str = ""

    def run(self, workplace: Workplace) -> Square:
        """Square the number."""
        if self.trace:
            with Path(self.trace).open("a") as stream:
                stream.write(f"{self.number} {os.getpid()}\n")
        match self.does:
            case "fail":
                raise UserError(f"{self.number} cannot be squared", "take `number=2`")
            case "die":
                os.kill(os.getpid(), 9)
            case "die once":
                if len(Path(self.trace).read_text().splitlines()) == 1:
                    os.kill(os.getpid(), 9)
            case "sleep once":
                if len(Path(self.trace).read_text().splitlines()) == 1:
                    time.sleep(60)
            case "sleep":
                time.sleep(60)
            case "nap":
                time.sleep(0.8)
            case "meet":
                _wait_for_another(Path(self.trace))
        workplace.progress("squaring")
        return Square(value=self.number**2)


def _wait_for_another(trace: Path) -> None:
    deadline = time.monotonic() + 60
    while len({line.split()[1] for line in trace.read_text().splitlines()}) < 2:
        if time.monotonic() > deadline:
            raise TimeoutError("no other process has begun")
        time.sleep(0.01)


def workplace(messages: list[str] | None = None) -> Workplace:
    """One on the CPU."""
    return Workplace(Materials(), CPU, (lambda _: None) if messages is None else messages.append)


def job(number: int, **options: str) -> Job[Square, int]:
    """A job of squaring."""
    return Job(Squaring(number=number, **options), f"the square of {number}", number)
