"""Executors: who does units of work. ``here`` is this process; ``processes:N`` are N others, of one thread each."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from potstill.runtime.executor_choice import AUTO, HERE, processes_in
from potstill.runtime.parallel import core_count
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
    """

    executor: Executor
    size: int
    folder: Path


def settled(name: str, device: torch.device, pixels: float) -> str:
    """The executor with ``auto`` resolved.

    Args:
        name: who does the units.
        device: where; an accelerator is busy enough with one process.
        pixels: the amount of work: the pixels that all units process, each counted whenever a network sees it.
    """
    if name != AUTO:
        return name
    pays = device.type == "cpu" and core_count() > 1 and pixels >= PROCESSES_PIXELS
    return f"processes:{core_count()}" if pays else HERE


@contextmanager
def crew_by(executor: str | Crew, device: torch.device, pixels: float) -> Iterator[Crew | None]:
    """The crew of an executor, for the time of the context; None if this process does the work.

    Args:
        executor: its name, or a crew that is at work already and stays so.
        device: where units are computed.
        pixels: the amount of work, by which ``auto`` decides.

    Raises:
        UserError: there is no such executor.
    """
    if isinstance(executor, Crew):
        yield executor
    elif count := processes_in(settled(executor, device, pixels)):
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
    with TemporaryDirectory(prefix="potstill-", ignore_cleanup_errors=True) as folder:
        try:
            yield Crew(executor, count, Path(folder))
        except BaseException:
            held.close()  # what is in progress is given up
            raise
        finally:
            executor.shutdown(cancel_futures=True)
            held.close()
            watched.close()
