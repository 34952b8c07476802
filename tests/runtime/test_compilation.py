"""Compiled functions: exact shapes, and a cache for each network."""

from __future__ import annotations

import functools
import inspect
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounter

from potstill.engine.chunked import ChunkedNetwork
from potstill.networks import ImageShape, build_network
from potstill.runtime.compilation import KEPT_IN, CompiledKinds, compiled
from potstill.runtime.compute import CPU, Compute, supports_compilation
from potstill.runtime.parallel import cpu_workers

ISOLATES = "isolate_recompiles" in inspect.signature(torch.compile).parameters


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Iterator[CompileCounter]:
    """Counts the graphs that are compiled, and runs them as they are: no C++ compiler is needed."""
    torch._dynamo.reset()
    counter = CompileCounter()
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=counter))
    yield counter
    torch._dynamo.reset()


def scaling(factor: float) -> Callable[[Tensor], Tensor]:
    """One code for every factor, as the networks of one family share theirs."""

    def scale(x: Tensor) -> Tensor:
        return factor * x

    return scale


def test_computes_what_the_function_does(counter: CompileCounter):
    x = torch.arange(3.0)
    assert torch.equal(compiled(scaling(2.5), CPU)(x), 2.5 * x)
    assert counter.frame_count == 1


def test_every_shape_gets_its_own_graph_once(counter: CompileCounter):
    scale = compiled(scaling(2.0), CPU)
    for graphs, size in enumerate((3, 4, 5, 6), start=1):
        for _ in range(2):
            assert scale(torch.ones(size)).shape == (size,)
        assert counter.frame_count == graphs


@pytest.mark.skipif(not ISOLATES, reason="this torch keeps one cache for all")
def test_many_functions_of_one_code_are_all_compiled(counter: CompileCounter):
    functions = [compiled(scaling(factor), CPU) for factor in range(12)]
    for factor, function in enumerate(functions):
        assert torch.equal(function(torch.ones(2)), torch.full((2,), float(factor)))
    assert counter.frame_count == 12


@pytest.mark.parametrize("compiles", [True, False])
def test_the_first_of_every_kind_goes_before_the_workers_and_all_come_back_in_order(compiles: bool):
    kinds, alone, shared = CompiledKinds(compiles), [], []

    def watched(item: str) -> str:
        (alone if threading.current_thread() is threading.main_thread() else shared).append(item)
        return item.upper()

    with cpu_workers(torch.device("cpu"), 2):
        assert kinds.map(watched, ["a1", "a2", "b1", "a3"], lambda item: item[0]) == ["A1", "A2", "B1", "A3"]
        assert alone == (["a1", "b1"] if compiles else [])
        assert kinds.map(watched, ["b2", "a4"], lambda item: item[0]) == ["B2", "A4"]
    assert alone == (["a1", "b1"] if compiles else [])
    assert {"a2", "a3", "b2", "a4"} <= set(shared)


def test_a_kind_whose_first_call_fails_is_still_new():
    kinds, calls = CompiledKinds(True), []

    def fails_once(item: int) -> int:
        calls.append(item)
        if len(calls) == 1:
            raise KeyError
        return item

    with pytest.raises(KeyError):
        kinds.map(fails_once, [1, 2], lambda item: 0)
    assert calls == [1]
    assert kinds.map(fails_once, [1, 2], lambda item: 0) == [1, 2]


@pytest.mark.slow
@pytest.mark.skipif(not supports_compilation(torch.device("cpu")), reason="there is no C++ compiler")
def test_gradients_in_bfloat16_are_those_of_code_that_is_not_compiled():
    shape, generator = ImageShape(1, 28, 28), torch.Generator().manual_seed(0)
    images, labels = torch.randn(100, 1, 28, 28, generator=generator), torch.arange(100) % 10
    found = []
    for compiles in (True, False):
        network = build_network("convnet:width=32", shape, 10, torch.Generator().manual_seed(1))
        chunked = ChunkedNetwork(network, Compute(torch.device("cpu"), "bfloat16", compiles))
        ((_, gradients),) = chunked.loss_gradients([(images, labels)])
        found.append(torch.cat([gradient.flatten() for gradient in gradients]))
    compiled_code, plain = found
    assert compiled_code.isfinite().all()
    assert (compiled_code - plain).norm() < 0.05 * plain.norm()


def test_compiled_code_is_kept_in_the_users_cache_unless_the_user_says_where(
    counter: CompileCounter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv(KEPT_IN, str(tmp_path / "elsewhere"))
    compiled(scaling(2.0), CPU)
    assert os.environ[KEPT_IN] == str(tmp_path / "elsewhere")
    monkeypatch.delenv(KEPT_IN)
    compiled(scaling(2.0), CPU)
    assert os.environ[KEPT_IN] == str(tmp_path / "potstill" / "compiled")


@pytest.mark.slow
@pytest.mark.skipif(not supports_compilation(CPU.device), reason="needs a C++ compiler")
def test_what_is_compiled_lands_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(KEPT_IN, str(tmp_path / "kept"))
    torch._dynamo.reset()
    try:
        assert compiled(scaling(3.0), CPU)(torch.ones(7, 5)).eq(3).all()
    finally:
        torch._dynamo.reset()
    assert any(path.suffix == ".so" or path.suffix == ".cpp" for path in (tmp_path / "kept").rglob("*"))
