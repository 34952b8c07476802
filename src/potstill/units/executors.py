"""Executors: who does units of work, by name: this process, others of this machine, or workers on other machines."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch

from potstill.runtime.executor_choice import AUTO, HERE, check_executor
from potstill.runtime.machine import core_count
from potstill.units.crew import Crew, shared_folder
from potstill.units.dask_workers import dask_workers
from potstill.units.processes import processes
from potstill.units.slurm_jobs import slurm_jobs

CREWS: dict[str, Callable[[str], AbstractContextManager[Crew]]] = {
    "processes": lambda count: processes(int(count)),
    "dask": dask_workers,
    "slurm": slurm_jobs,
}
"""How a crew comes about, by the kind of executor: from what stands after the colon of its name."""

PROCESSES_PIXELS = 100_000_000
"""The work from which processes pay for the seconds that it takes to start them."""


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
def crew_by(executor: str | Executor | Crew, device: torch.device, work: Work) -> Iterator[Crew | None]:
    """The crew of an executor, for the time of the context; None if this process does the work.

    Args:
        executor: its name; or an executor of your own or a crew, which are at work already and stay so.
        device: where units are computed.
        work: the amount of work, by which ``auto`` decides.

    Raises:
        UserError: there is no such executor, or it does not answer.
    """
    if isinstance(executor, Crew):
        yield executor
        return
    if isinstance(executor, Executor):
        with shared_folder() as folder:
            yield Crew(executor, _workers_of(executor), folder)
        return
    check_executor(executor)
    kind, _, which = settled(executor, device, work).partition(":")
    if kind == HERE:
        yield None
        return
    with CREWS[kind](which) as crew:
        yield crew


def _workers_of(executor: Executor) -> int:
    """The number of workers, which the executors of Python know; others get as many units as there are cores here."""
    return getattr(executor, "_max_workers", None) or core_count()
