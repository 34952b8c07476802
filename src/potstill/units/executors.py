"""Executors: who does units of work. ``here`` is this process; ``processes:N`` are N others, of one thread each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from threading import Event

import torch

from potstill.runtime.executor_choice import AUTO, HERE, processes_in
from potstill.runtime.parallel import core_count
from potstill.runtime.writer import Writer, remove_unfinished
from potstill.units.worker import begin_worker

PROCESSES_PIXELS = 100_000_000
"""The work from which processes pay for the seconds that it takes to start them."""


@dataclass(frozen=True)
class Crew:
    """Workers in other processes.

    Attributes:
        executor: hands units to the workers.
        size: the number of units that they do at once.
        folder: where the workers find sets and datasets.
        has_worked: set once a unit has come back.
    """

    executor: Executor
    size: int
    folder: Path
    has_worked: Event = field(default_factory=Event)


@dataclass(frozen=True)
class Work:
    """The amount of work of several units, in pixels, each counted whenever a network sees it.

    Attributes:
        total: of all units.
        longest: of the longest one.
    """

    total: float = math.inf
    longest: float = 0.0


def settled(name: str, device: torch.device, work: Work) -> str:
    """The executor with ``auto`` resolved.

    Processes of one thread each are slower if one unit is longer than the share of a process: the others would wait.

    Args:
        name: who does the units.
        device: where; an accelerator is busy enough with one process.
        work: the amount of work.
    """
    if name != AUTO:
        return name
    cores = core_count()
    pays = device.type == "cpu" and cores > 1 and work.total >= PROCESSES_PIXELS
    return f"processes:{cores}" if pays and work.longest <= work.total / cores else HERE


@contextmanager
def crew_by(executor: str | Crew, device: torch.device, work: Work) -> Iterator[Crew | None]:
    """The crew of an executor, for the time of the context; None if this process does the work.

    Args:
        executor: its name, or a crew that is at work already and stays so.
        device: where units are computed.
        work: the amount of work, by which ``auto`` decides.

    Raises:
        UserError: there is no such executor.
    """
    if isinstance(executor, Crew):
        yield executor
    elif count := processes_in(settled(executor, device, work)):
        with processes(count) as crew:
            yield crew
    else:
        yield None


@contextmanager
def processes(count: int) -> Iterator[Crew]:
    """Worker processes of one thread each, for the time of the context.

    They end with the context, however it is left, and with this process, however it ends.

    Args:
        count: the number of processes.
    """
    context = get_context("spawn")
    watched, held = context.Pipe(duplex=False)
    executor = ProcessPoolExecutor(count, context, begin_worker, (watched,))
    remove_unfinished(Path(gettempdir()))  # of processes that were killed
    prefix = Writer.here().unfinished_prefix
    with TemporaryDirectory(prefix=prefix, suffix=".tmp", ignore_cleanup_errors=True) as folder:
        try:
            yield Crew(executor, count, Path(folder))
        except BaseException:
            held.close()  # what is in progress is given up
            raise
        finally:
            executor.shutdown(cancel_futures=True)
            held.close()
            watched.close()
