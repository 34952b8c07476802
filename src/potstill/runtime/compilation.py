"""Compiling a function once for each kind of input that it meets."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

import torch

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """``function`` compiled for exact shapes, its cache apart from that of any other network with the same code.

    Without that, the networks of one family would share one small cache, and the ninth be left uncompiled.
    """
    apart = {"isolate_recompiles": True} if "isolate_recompiles" in inspect.signature(torch.compile).parameters else {}
    make: Any = torch.compile
    return make(function, dynamic=False, **apart)


class CompiledKinds:
    """Which kinds of input a compiled function has met: the first call with a new kind compiles.

    Only one thread may do that, so a batch of work with a new kind in it is not to be shared among workers.
    """

    def __init__(self) -> None:
        self._met: set[Hashable] = set()

    def all_met(self, kinds: Iterable[Hashable]) -> bool:
        """Whether every one of ``kinds`` has been met before; from now on they have."""
        new = set(kinds) - self._met
        self._met |= new
        return not new
