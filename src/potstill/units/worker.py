"""What a worker process does: it makes a unit from its description, and runs it."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from contextlib import chdir
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event as EventType
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from potstill.runtime.compute import Compute
from potstill.runtime.errors import UserError
from potstill.runtime.files import sha256
from potstill.runtime.parallel import cpu_workers
from potstill.runtime.writer import host_name
from potstill.units.unit import unit_from
from potstill.units.workplace import Materials, Workplace

PACKAGE = Path(__file__).parents[1]


@cache
def code_sha256() -> str:
    """The SHA-256 of all modules of Potstill and their names, when it was first asked for: they may change later."""
    modules = sorted(PACKAGE.rglob("*.py"))
    return sha256("\n".join(f"{path.relative_to(PACKAGE)} {sha256(path.read_bytes())}" for path in modules).encode())


_ONE_AT_A_TIME = Lock()
"""What a workplace keeps from unit to unit serves one at a time."""


@dataclass(frozen=True)
class Order:
    """What a worker is given to do.

    Attributes:
        unit: the unit, as ``described`` returns it.
        files: the sets and datasets that it may name.
        compute: device, precision and compilation.
        directory: where the command runs: relative paths mean the same to the worker.
        code: ``code_sha256`` there.
    """

    unit: dict[str, Any]
    files: Mapping[str, Path]
    compute: Compute
    directory: Path
    code: str


def begin_worker(watched: Connection, has_begun: EventType) -> None:
    """Prepare a worker process: it ends at once when the process that started it closes a pipe, or ends.

    Args:
        watched: the worker's end of the pipe. Nothing is ever sent through it.
        has_begun: set here, so that a process that cannot even begin is told apart from one that is killed.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started it decides
    has_begun.set()
    Thread(target=_end_with, args=(watched,), daemon=True).start()


def _end_with(watched: Connection) -> None:
    try:
        watched.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)


def work(order: Order) -> dict[str, Any]:
    """Do a unit in a worker process, after those that other threads of the process are doing.

    Args:
        order: the unit, and what it takes.

    Returns:
        The result as JSON values.

    Raises:
        UserError: the unit cannot be done; the code here is another, or a file or directory cannot be seen from here.
    """
    here = f"the worker {os.getpid()} on {host_name()}"
    check_code(here, code_sha256(), order.code)
    for path in (order.directory, *order.files.values()):
        if not path.exists():
            raise UserError(f"{here} cannot see {path}", "start the command in a directory that all machines share")
    with _ONE_AT_A_TIME, chdir(order.directory), cpu_workers(order.compute.device, 1):
        workplace = _workplace(order.compute)
        workplace.materials.find_only(order.files)
        return unit_from(order.unit).run(workplace).to_json()


def check_code(worker: str, theirs: str, ours: str) -> None:
    """Make sure that a worker computes what this program would.

    Args:
        worker: which one, for the message.
        theirs: ``code_sha256`` there.
        ours: that of the program that hands out units.

    Raises:
        UserError: they differ.
    """
    if theirs != ours:
        raise UserError(f"{worker} has different Potstill code", "install the same version there, and start it again")


@cache
def _workplace(compute: Compute) -> Workplace:
    """What this process keeps from one unit to the next."""
    return Workplace(Materials(), compute, threads=1 if compute.device.type == "cpu" else None)
