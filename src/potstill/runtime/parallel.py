"""Two levels of parallelism on a CPU turned into one: whole chunks of images on worker threads.

A network's layers are too small to share among cores: the cores wait for each other at the end of every layer, and on a
busy machine they wait long. Chunks of images are independent of each other, so each worker takes whole chunks through
the whole network, one core to a worker. What a chunk computes does not depend on the number of workers, and
results are put together in the order of the chunks: the same bits on one core or on many.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")

_pool: ContextVar[ThreadPoolExecutor | None] = ContextVar("_pool", default=None)


def core_count() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Within this context each operation on the CPU runs on one core: sums that are the same bits on any number."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def cpu_workers(device: torch.device, workers: int | None = None) -> Iterator[None]:
    """Within this context ``parallel_map`` runs on one worker thread a core, and each operation on one core.

    On an accelerator it changes nothing: the device itself is parallel. Nested, it changes nothing either.
    """
    if device.type != "cpu" or _pool.get() is not None:
        yield
        return
    with one_thread():
        pool = ThreadPoolExecutor(workers or core_count(), initializer=torch.set_num_threads, initargs=(1,))
        token = _pool.set(pool)
        try:
            yield
        finally:
            _pool.reset(token)
            pool.shutdown(cancel_futures=True)


def parallel_map(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """``function`` of each item, in order; on the workers where there are any. The grad mode is the caller's."""
    pool = _pool.get()
    if pool is None:
        return [function(item) for item in items]
    gradients = torch.is_grad_enabled()

    def run(item: T) -> R:
        with torch.set_grad_enabled(gradients):
            return function(item)

    return list(pool.map(run, items))
