"""Running mutations of one kind of file: only a ``UserError`` may leave, soon and without taking memory."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType

import torch

from potstill.runtime.errors import UserError
from potstill.runtime.machine import peak_memory_bytes, reset_peak_memory
from tests.fuzz.mutations import Structure, mutated

SECONDS = 20
"""The longest that reading a file may take; a busy machine needs seconds for what takes milliseconds."""
MEMORY_BYTES = 256 * 2**20
"""The most memory that reading a small file may take beyond what the process had."""
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Kind:
    """One kind of file, and the public function that reads it.

    Attributes:
        name: its name in tables.
        structure: what it is made of; see :func:`tests.fuzz.mutations.mutated`.
        make: writes a valid file, with all that belongs to it, into an empty folder and returns its path there.
        use: what a user does with the folder; the file in it is valid, or a mutation.
        dear: whether it takes more than some milliseconds.
    """

    name: str
    structure: Structure
    make: Callable[[Path], Path]
    use: Callable[[Path], object]
    dear: bool = False


@dataclass
class Outcome:
    """What became of the mutations of one kind.

    Attributes:
        accepted: how many were read: what was changed does not matter, or is a valid value.
        refused: how many ended in a ``UserError``.
        faults: the seed of each mutation that ended otherwise, and how.
        seconds: of all together.
        slowest: seconds of the slowest.
        memory_bytes: the most memory that one of them took beyond what the process had.
        message: what was said of the last one refused.
    """

    accepted: int = 0
    refused: int = 0
    faults: dict[int, str] = field(default_factory=dict)
    seconds: float = 0.0
    slowest: float = 0.0
    memory_bytes: int = 0
    message: str = ""

    def joined(self, later: Outcome) -> Outcome:
        """These and later mutations."""
        return Outcome(
            accepted=self.accepted + later.accepted,
            refused=self.refused + later.refused,
            faults={**self.faults, **later.faults},
            seconds=self.seconds + later.seconds,
            slowest=max(self.slowest, later.slowest),
            memory_bytes=max(self.memory_bytes, later.memory_bytes),
            message=later.message,
        )


class HangError(BaseException):
    """Reading took longer than ``SECONDS``; no handler of exceptions in the code catches it."""


def run(kind: Kind, folder: Path, count: int, seed: int = 0, first: int = 0) -> Outcome:
    """Read ``count`` mutations of a valid file of one kind, after the valid file itself.

    Args:
        kind: the kind of file.
        folder: an empty folder.
        count: the number of mutations.
        seed: decides, with the kind and the number of a mutation, everything about it.
        first: the number of the first mutation.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = kind.make(folder)
    others = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    valid, outcome = others[file], Outcome()
    kind.use(folder)  # what is valid is read; and what is imported or cached on first use counts for no mutation
    _restore(folder, others)
    reset_peak_memory(CPU)
    before = peak_memory_bytes(CPU)
    for number in range(first, first + count):
        _write(file, mutated(valid, kind.structure, Random(f"{seed} {kind.name} {number}")))
        started = time.perf_counter()
        fault = _fault(kind, folder, outcome)
        taken = time.perf_counter() - started
        outcome.seconds += taken
        outcome.slowest = max(outcome.slowest, taken)
        memory = peak_memory_bytes(CPU) - before
        outcome.memory_bytes = max(outcome.memory_bytes, memory)
        if fault is None and memory > MEMORY_BYTES:
            fault = f"took {memory:,} bytes of memory"
            reset_peak_memory(CPU)
            before = peak_memory_bytes(CPU)
        if fault is not None:
            outcome.faults[number] = fault
        _restore(folder, others)
    return outcome


def _fault(kind: Kind, folder: Path, outcome: Outcome) -> str | None:
    try:
        with _alarm():
            kind.use(folder)
    except UserError as error:
        outcome.refused += 1
        outcome.message = str(error)
        return None if len(outcome.message.splitlines()) == 1 else f"more than one line: {outcome.message!r}"
    except HangError:
        return f"took more than {SECONDS} seconds"
    except Exception as error:
        return "".join(traceback.format_exception(error)[-6:])
    outcome.accepted += 1
    return None


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    def ring(_signum: int, _frame: FrameType | None) -> None:
        raise HangError

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _restore(folder: Path, valid: dict[Path, bytes]) -> None:
    """Undo what a use has written: what is valid is as old as can be, for that is seen without reading it."""
    for path in folder.rglob("*"):
        if path.is_file() and path not in valid:
            path.unlink()
    for path, content in valid.items():
        if not path.is_file() or path.stat().st_mtime_ns != 0:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, content)
            os.utime(path, ns=(0, 0))


def _write(path: Path, content: bytes) -> None:
    """Write a new file: a file system may bring one that is shortened and filled again to the disk at once."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)
