"""What a worker process does: it makes a unit from its description, and runs it."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread
from typing import Any

from potstill.runtime.compute import Compute
from potstill.runtime.parallel import cpu_workers
from potstill.units.unit import unit_from
from potstill.units.workplace import Materials, Workplace


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


def work(description: dict[str, Any], files: Mapping[str, Path], compute: Compute) -> dict[str, Any]:
    """Do a unit in a worker process.

    Args:
        description: the unit, as ``described`` returns it.
        files: the sets and datasets that units name.
        compute: device, precision and compilation.

    Returns:
        The result as JSON values.

    Raises:
        UserError: the unit cannot be done.
    """
    workplace = _workplace(compute)
    workplace.materials.find_in(files)
    with cpu_workers(compute.device, 1):
        return unit_from(description).run(workplace).to_json()


@cache
def _workplace(compute: Compute) -> Workplace:
    """What this process keeps from one unit to the next."""
    return Workplace(Materials(), compute, threads=1 if compute.device.type == "cpu" else None)
