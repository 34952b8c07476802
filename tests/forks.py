"""Processes that begin as copies of one that has imported PyTorch, which takes more than a second each time.

The rest is as in new ones: nothing of Potstill is imported, and arguments and units reach them pickled. For tests that
are not about how a process begins.
"""

from __future__ import annotations

import atexit
import os
import runpy
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.children import ROOT, end_group, prepare

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["torch"])


@dataclass(frozen=True)
class Forked:
    """A process, and what it says.

    Attributes:
        process: the process.
        output: the file of its output.
        errors: the file of its errors.
    """

    process: BaseProcess
    output: Path
    errors: Path

    @property
    def pid(self) -> int:
        """Its number."""
        assert self.process.pid is not None
        return self.process.pid

    def wait(self, seconds: float) -> int:
        """Wait until it has ended; its exit code."""
        self.process.join(seconds)
        assert self.process.exitcode is not None, "it did not end"
        return self.process.exitcode


@contextmanager
def forked(
    *words: str, folder: Path, place: Path = ROOT, environment: Mapping[str, str] | None = None
) -> Iterator[Forked]:
    """Python with ``words`` as its arguments; it and its children are killed when the context ends.

    Args:
        words: the arguments: ``-m`` and a module, or ``-c`` and a program; then those of the module or program.
        folder: where what it says is written.
        place: its directory.
        environment: what is added to the variables of this process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    output, errors = folder / "output.txt", folder / "errors.txt"
    for earlier in (output, errors):
        earlier.unlink(missing_ok=True)
    variables = {**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})}
    process = CONTEXT.Process(target=_begin, args=(words, place, variables, output, errors))
    process.start()
    started = Forked(process, output, errors)
    try:
        yield started
    finally:
        end_group(started.pid)
        process.kill()  # before it leads a group
        process.join()


def _begin(words: tuple[str, ...], place: Path, variables: Mapping[str, str], output: Path, errors: Path) -> None:
    os.setsid()
    prepare()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as Python does when it begins
    for path, number in ((output, 1), (errors, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(place)
    kind, what, *rest = words
    sys.argv = [kind, *rest]
    try:
        if kind == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            exec(compile(what, "<string>", "exec"), vars(sys.modules["__main__"]) | {"__name__": "__main__"})
    finally:
        atexit._run_exitfuncs()
