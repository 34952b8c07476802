"""What a worker process does: it makes a unit from its description, and runs it."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from potstill.runtime.compute import Compute
from potstill.runtime.errors import UserError
from potstill.runtime.machine import package_version
from potstill.runtime.parallel import cpu_workers
from potstill.runtime.writer import host_name
from potstill.units.unit import unit_from
from potstill.units.workplace import Materials, Workplace

VERSION = package_version()
"""Of the code in this process: an installation may change while it runs."""

_ONE_AT_A_TIME = Lock()
"""What a workplace keeps from unit to unit serves one at a time."""


def begin_worker(watched: Connection) -> None:
    """Prepare a worker process: it ends at once when the process that started it closes a pipe, or ends.

    Args:
        watched: the worker's end of the pipe. Nothing is ever sent through it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started it decides
    Thread(target=_end_with, args=(watched,), daemon=True).start()


def _end_with(watched: Connection) -> None:
    try:
        watched.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)


def work(description: dict[str, Any], files: Mapping[str, Path], compute: Compute, version: str) -> dict[str, Any]:
    """Do a unit in a worker process, after those that other threads of the process are doing.

    Args:
        description: the unit, as ``described`` returns it.
        files: the sets and datasets that units name.
        compute: device, precision and compilation.
        version: that of Potstill where the unit was described.

    Returns:
        The result as JSON values.

    Raises:
        UserError: the unit cannot be done; this is another version of Potstill, or it cannot see the files.
    """
    check_version(f"the worker {in_words()}", VERSION, version)
    for path in files.values():
        if not path.exists():
            raise UserError(
                f"the worker {in_words()} cannot see {path}", "start the command in a folder that all share"
            )
    workplace = _workplace(compute)
    workplace.materials.find_in(files)
    with _ONE_AT_A_TIME, cpu_workers(compute.device, 1):
        return unit_from(description).run(workplace).to_json()


def version_here() -> str:
    """Of Potstill, asked of a worker."""
    return VERSION


def check_version(worker: str, theirs: str, ours: str) -> None:
    """Make sure that a worker computes what this program would.

    Args:
        worker: which one, for the message.
        theirs: its version of Potstill.
        ours: that of the program that hands out units.

    Raises:
        UserError: the versions differ.
    """
    if theirs != ours:
        raise UserError(f"{worker} has Potstill {theirs}, and this is {ours}", "install the same, and start it again")


def in_words() -> str:
    """This process, for messages."""
    return f"{os.getpid()} on {host_name()}"


@cache
def _workplace(compute: Compute) -> Workplace:
    """What this process keeps from one unit to the next."""
    return Workplace(Materials(), compute, threads=1 if compute.device.type == "cpu" else None)
