"""Compiling a function once for each kind of input that it meets."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import torch

from potstill.runtime.parallel import parallel_map

T = TypeVar("T")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """``function`` compiled for exact shapes, its cache apart from that of any other network with the same code.

    Without that, the networks of one family would share one small cache, and the ninth be left uncompiled.
    """
    apart = {"isolate_recompiles": True} if "isolate_recompiles" in inspect.signature(torch.compile).parameters else {}
    make: Any = torch.compile
    return make(function, dynamic=False, **apart)


class CompiledKinds:
    """Which kinds of input a compiled function has met: the first call with a new kind compiles, and must be alone.

    Args:
        compiles: whether the function is compiled at all; otherwise every call may be shared among workers.
    """

    def __init__(self, compiles: bool) -> None:
        self._compiles = compiles
        self._met: set[Hashable] = set()

    def map(self, function: Callable[[T], R], items: Sequence[T], kind_of: Callable[[T], Hashable]) -> list[R]:
        """``function`` of each item, in order, on the workers; the first of every new kind before all others."""
        first: dict[int, R] = {}
        if self._compiles:
            for place, item in enumerate(items):
                if (kind := kind_of(item)) not in self._met:
                    first[place] = function(item)
                    self._met.add(kind)
        rest = iter(parallel_map(function, [item for place, item in enumerate(items) if place not in first]))
        return [first[place] if place in first else next(rest) for place in range(len(items))]
