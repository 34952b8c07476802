"""Parallelism on a CPU: worker threads that each take whole chunks of images, one core per worker.

The layers of a network are too small to be split among cores: the cores wait for each other at the end of every layer,
and on a busy machine they wait long. Chunks of images are independent, so each worker takes whole chunks through the
whole network. The result of a chunk does not depend on the number of workers, and results are combined in the order of
the chunks: the bits are the same on one core or on many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import torch

from potstill.runtime.machine import core_count

T = TypeVar("T")
R = TypeVar("R")

_pool: ContextVar[ThreadPoolExecutor | None] = ContextVar("_pool", default=None)


@contextmanager
def one_thread() -> Iterator[None]:
    """Within this context each CPU operation runs on one core, so that sums have the same bits on any machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def cpu_workers(device: torch.device, workers: int | None = None) -> Iterator[None]:
    """Within this context :func:`parallel_map` runs on worker threads, and each operation on one core.

    Within another such context, or on an accelerator, which is parallel in itself, it changes nothing.

    Args:
        device: where the work is done.
        workers: the number of threads; by default one per core.
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


def read_ahead(read: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """The result of ``read`` for each item, in order; while the caller uses one, the next is read by another thread."""
    if len(items) < 2:
        yield from map(read, items)
        return
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(read, items[0])
        for item in items[1:]:
            ready, coming = coming, reader.submit(read, item)
            yield ready.result()
        yield coming.result()


def parallel_map(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Apply ``function`` to each item, on the workers if there are any, in the grad mode of the caller.

    Returns:
        The results in the order of the items.
    """
    pool = _pool.get()
    if pool is None:
        return [function(item) for item in items]
    gradients = torch.is_grad_enabled()

    def run(item: T) -> R:
        with torch.set_grad_enabled(gradients):
            return function(item)

    return list(pool.map(run, items))
