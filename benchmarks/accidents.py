"""Potstill in a process of its own that meets an accident: a kill, Ctrl-C, a full disk.

The process is forked from one that has imported everything, so that it costs no more than its work. All hooks are here:
the program itself knows nothing of them.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

Kind = Literal["kill", "kill at a write", "Ctrl-C", "Ctrl-C twice", "full disk", "no space at a write"]
KINDS: tuple[Kind, ...] = ("kill", "kill at a write", "Ctrl-C", "Ctrl-C twice", "full disk", "no space at a write")

WRITES = ("fsync", "replace", "rename", "write", "unlink")
"""Functions of ``os`` right before and right after which a process may be killed, or find no space."""

HANGS = 600.0
"""Seconds after which a process hangs."""


@dataclass(frozen=True)
class Accident:
    """What happens to a process, and when.

    Attributes:
        kind: what happens.
        at: when, as a fraction of the uninterrupted work: of its time, its writes, or the space that it takes.
        again: seconds until the second Ctrl-C.
    """

    kind: Kind
    at: float
    again: float = 0.0


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        code: its exit code, negative for a signal.
        out: what it printed.
        err: what it printed on stderr.
        seconds: how long it took.
        writes: how many calls of ``WRITES`` it made, twice each: before and after.
    """

    code: int
    out: str
    err: str
    seconds: float
    writes: int

    @property
    def told(self) -> str:
        """The last line that it printed on either."""
        return next((text.splitlines()[-1] for text in (self.err, self.out) if text.strip()), "")


def run(words: Sequence[str], log: Path, accident: Accident | None = None, whole: Ended | None = None) -> Ended:
    """Run ``potstill`` in a forked process.

    Args:
        words: its command line.
        log: what the names of files for its output begin with.
        accident: what happens to it.
        whole: how it ends without an accident; needed for an accident.
    """
    files = {name: log.with_suffix(f".{name}") for name in ("out", "err", "writes")}
    for path in files.values():
        path.unlink(missing_ok=True)
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _child(words, files, accident, whole)
    if accident is not None and whole is not None and accident.kind in ("kill", "Ctrl-C", "Ctrl-C twice"):
        _wait(pid, accident.at * whole.seconds)
        number = signal.SIGKILL if accident.kind == "kill" else signal.SIGINT
        for pause in (0.0, accident.again)[: 2 if accident.kind == "Ctrl-C twice" else 1]:
            time.sleep(pause)
            os.kill(pid, number)  # it is not reaped yet, so the number is its own
    if not _wait(pid, HANGS):
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    seconds = time.monotonic() - started
    out, err, writes = (path.read_text() if path.exists() else "" for path in files.values())
    return Ended(os.waitstatus_to_exitcode(status), out, err, seconds, int(writes or 0))


def _wait(pid: int, seconds: float) -> bool:
    """Whether the process ended within so many seconds; it is not reaped."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return True
        time.sleep(0.002)
    return False


def _child(words: Sequence[str], files: dict[str, Path], accident: Accident | None, whole: Ended | None) -> NoReturn:
    """The forked process, to its end."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(files[name], os.O_CREAT | os.O_WRONLY | os.O_TRUNC), number)
    code, writes = 1, Writes(accident, whole)
    try:
        from potstill.cli import main

        writes.watch()
        code = main(list(words))
    except KeyboardInterrupt:  # after the command, on the way out
        code = 130
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:  # whatever it is, it is a fault to be seen
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        files["writes"].write_text(str(writes.count))
        os._exit(code)


class Writes:
    """Counts the calls of ``WRITES``, twice each, and lets the accident happen at one of them."""

    def __init__(self, accident: Accident | None, whole: Ended | None) -> None:
        self.count = 0
        self._kind = None if accident is None else accident.kind
        self._last = 0 if accident is None or whole is None else 1 + int(accident.at * whole.writes)

    def watch(self) -> None:
        """Put this in place of the functions."""
        for name in WRITES:
            setattr(os, name, self._watched(name, getattr(os, name)))

    def _watched(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **options: Any) -> Any:
            self._point(name)
            result = function(*arguments, **options)
            self._point("after")
            return result

        return watched

    def _point(self, name: str) -> None:
        self.count += 1
        if self._kind == "kill at a write" and self.count == self._last:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._kind == "no space at a write" and self.count >= self._last and name in ("fsync", "replace", "write"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
