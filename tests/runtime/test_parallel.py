"""Chunks of images on worker threads."""

from __future__ import annotations

import threading

import pytest
import torch

from potstill.runtime.machine import core_count
from potstill.runtime.parallel import cpu_workers, parallel_map, read_ahead

CPU = torch.device("cpu")


def test_without_workers_the_caller_does_it():
    assert parallel_map(lambda _: threading.get_ident(), range(3)) == [threading.get_ident()] * 3


def test_workers_are_other_threads_and_work_at_once():
    together = threading.Barrier(2, timeout=30)

    def meet(_: int) -> int:
        together.wait()  # passed only when two are at it at the same time
        return threading.get_ident()

    with cpu_workers(CPU, 2):
        threads = parallel_map(meet, range(2))
    assert threading.get_ident() not in threads
    assert len(set(threads)) == 2


def test_results_keep_the_order_of_the_items():
    first_may_end = threading.Event()

    def square(item: int) -> int:
        if item == 0:
            assert first_may_end.wait(30)
        else:
            first_may_end.set()
        return item**2

    with cpu_workers(CPU, 2):
        assert parallel_map(square, iter(range(5))) == [0, 1, 4, 9, 16]


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_workers_changes_no_bit(workers: int):
    images = torch.randn(6, 50, 60, generator=torch.Generator().manual_seed(0))

    def product(image: torch.Tensor) -> torch.Tensor:
        return (image @ image.T).exp().sum(0)

    with cpu_workers(CPU, 2):
        expected = torch.stack(parallel_map(product, images))
    with cpu_workers(CPU, workers):
        assert torch.equal(torch.stack(parallel_map(product, images)), expected)


@pytest.mark.parametrize("enabled", [True, False])
def test_the_grad_mode_is_the_callers(enabled: bool):
    with cpu_workers(CPU, 2), torch.set_grad_enabled(enabled):
        assert parallel_map(lambda _: torch.is_grad_enabled(), range(3)) == [enabled] * 3


def test_gradients_flow_through_workers():
    x = torch.ones(3, requires_grad=True)
    with cpu_workers(CPU, 2):
        parts = parallel_map(lambda factor: factor * x, [1.0, 2.0])
    torch.stack(parts).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [3.0, 3.0, 3.0]


def test_operations_take_one_core_within_and_the_usual_ones_after():
    usual = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with cpu_workers(CPU, 2):
            assert torch.get_num_threads() == 1
            assert parallel_map(lambda _: torch.get_num_threads(), range(2)) == [1, 1]
        assert torch.get_num_threads() == 3
        with pytest.raises(KeyError), cpu_workers(CPU, 2):
            raise KeyError
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(usual)


def test_after_the_context_the_caller_does_it_again():
    with cpu_workers(CPU, 2):
        pass
    assert parallel_map(lambda _: threading.get_ident(), range(2)) == [threading.get_ident()] * 2


def test_an_accelerator_needs_no_workers():
    usual = torch.get_num_threads()
    with cpu_workers(torch.device("meta"), 2):
        assert parallel_map(lambda _: threading.get_ident(), range(2)) == [threading.get_ident()] * 2
        assert torch.get_num_threads() == usual


def test_nested_contexts_share_the_outer_workers():
    with cpu_workers(CPU, 1):
        outer = parallel_map(lambda _: threading.get_ident(), range(2))
        with cpu_workers(CPU, 2):
            assert parallel_map(lambda _: threading.get_ident(), range(2)) == outer
        assert parallel_map(lambda _: threading.get_ident(), range(2)) == outer


def test_a_map_within_a_map_does_not_wait_for_itself():
    with cpu_workers(CPU, 1):
        assert parallel_map(lambda i: parallel_map(lambda j: i * j, range(3)), range(3)) == [
            [0, 0, 0],
            [0, 1, 2],
            [0, 2, 4],
        ]


def test_what_fails_in_a_worker_fails_in_the_caller():
    with cpu_workers(CPU, 2), pytest.raises(ZeroDivisionError):
        parallel_map(lambda item: 1 // item, [1, 0, 2])


def test_there_are_as_many_workers_as_cores():
    seen: set[int] = set()
    everyone = threading.Barrier(core_count(), timeout=30)

    def meet(_: int) -> None:
        everyone.wait()
        seen.add(threading.get_ident())

    with cpu_workers(CPU):
        parallel_map(meet, range(core_count()))
    assert len(seen) == core_count() >= 1


def test_the_next_item_is_read_while_one_is_used_and_no_further_one():
    read, second = [], threading.Event()

    def double(item: int) -> int:
        read.append(item)
        if item == 1:
            second.set()
        return 2 * item

    results = read_ahead(double, range(4))
    assert next(results) == 0
    assert second.wait(30)
    assert 3 not in read
    assert list(results) == [2, 4, 6]
    assert read == [0, 1, 2, 3]


def test_a_single_item_is_read_by_the_caller_and_an_error_reaches_it():
    assert list(read_ahead(lambda _: threading.get_ident(), [0])) == [threading.get_ident()]
    with pytest.raises(ZeroDivisionError):
        list(read_ahead(lambda item: 1 // item, [1, 0, 1]))
