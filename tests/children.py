"""Processes that tests start: none outlives its test, however the test ends."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux's prctl
PRCTL = getattr(ctypes.CDLL(None), "prctl", None)


@contextmanager
def child(*words: str, stdout: int | None = None, stderr: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """Python with ``words`` as its arguments; it and its children are killed when the context ends.

    If the process of the tests is killed, no context ends: on Linux the child then dies with it.

    Args:
        words: the arguments, such as ``-m``, ``potstill`` and ``list``.
        stdout: as for ``subprocess.Popen``.
        stderr: likewise.
    """
    with subprocess.Popen(
        [sys.executable, *words],
        stdout=stdout,
        stderr=stderr,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
        preexec_fn=prepare,
    ) as process:
        try:
            yield process
        finally:
            end_group(process.pid)


def end_group(parent: int) -> None:
    """Kill a process that leads a group, its group, and the groups of its children."""
    for number in [*_descendants(parent), parent]:
        with suppress(ProcessLookupError):
            os.killpg(number, signal.SIGKILL)


def _descendants(parent: int) -> list[int]:
    """Processes below one that lead groups of their own, as those of torchrun do; on Linux."""
    try:
        children = [int(word) for word in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    except OSError:
        return []
    below = [number for child in children for number in _descendants(child)]
    return below + [child for child in children if os.getpgid(child) == child]


def prepare() -> None:
    """Die with the parent; and heed Ctrl-C, which commands that a shell has put into the background ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if PRCTL is not None:
        PRCTL(DIE_WITH_PARENT, signal.SIGKILL)
