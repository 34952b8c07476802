"""Compiled functions: exact shapes, and a cache for each network."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounter

from potstill.runtime.compilation import compiled

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
    assert torch.equal(compiled(scaling(2.5))(x), 2.5 * x)
    assert counter.frame_count == 1


def test_every_shape_gets_its_own_graph_once(counter: CompileCounter):
    scale = compiled(scaling(2.0))
    for graphs, size in enumerate((3, 4, 5, 6), start=1):
        for _ in range(2):
            assert scale(torch.ones(size)).shape == (size,)
        assert counter.frame_count == graphs


@pytest.mark.skipif(not ISOLATES, reason="this torch keeps one cache for all")
def test_many_functions_of_one_code_are_all_compiled(counter: CompileCounter):
    functions = [compiled(scaling(factor)) for factor in range(12)]
    for factor, function in enumerate(functions):
        assert torch.equal(function(torch.ones(2)), torch.full((2,), float(factor)))
    assert counter.frame_count == 12
