"""Compiling a function once for each kind of input that it meets."""

from __future__ import annotations

import inspect
from collections.abc import Callable
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
