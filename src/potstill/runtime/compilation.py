"""Compilation: each function once for each kind of input."""

from __future__ import annotations

import inspect
import os
import platform
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import torch

from potstill.runtime.compute import Compute
from potstill.runtime.files import cache_folder
from potstill.runtime.parallel import parallel_map

T = TypeVar("T")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


KEPT_IN = "TORCHINDUCTOR_CACHE_DIR"
"""PyTorch's variable for the folder of compiled code; a user's own choice stands."""

SAFE_BITS = 256
"""The width of vectors in code that is compiled for bfloat16 on a CPU.

With 512, code that PyTorch 2.13 compiles for the gradient of a norm before a linear layer gives NaN on Intel's CPUs.
"""


def compiled(function: F, compute: Compute, *, whole: bool = False) -> F:
    """Compile ``function`` for exact shapes, with a cache of its own.

    All networks of one family run the same code. If they shared a cache, it would be full after eight networks, and
    the ninth would run uncompiled.

    Args:
        function: takes tensors.
        compute: where and in which precision it computes.
        whole: whether it is an error if a part of it cannot be compiled, or nothing of it for a new kind of input.
            Otherwise that runs uncompiled.
    """
    _keep_compiled_code()
    options: dict[str, Any] = {"fullgraph": whole}
    if "isolate_recompiles" in inspect.signature(torch.compile).parameters:
        options["isolate_recompiles"] = True
    if compute.device.type == "cpu" and compute.precision == "bfloat16" and platform.machine() in ("x86_64", "AMD64"):
        options["options"] = {"cpp.simdlen": SAFE_BITS}
    make: Any = torch.compile
    return make(function, dynamic=False, **options)


def _keep_compiled_code() -> None:
    """Let PyTorch keep what it compiles in the user's cache, not in a folder that is gone when the machine restarts.

    A later run with the same network and sizes then loads the code instead of compiling it.
    """
    if KEPT_IN not in os.environ and (folder := cache_folder("compiled")) is not None:
        os.environ[KEPT_IN] = str(folder)


class CompiledKinds:
    """The kinds of input that a compiled function has seen.

    The first call with a new kind compiles, which must not happen on two threads at once.

    Args:
        compiles: whether the function is compiled at all; if not, every call may run on a worker.
    """

    def __init__(self, compiles: bool) -> None:
        self._compiles = compiles
        self._seen: set[Hashable] = set()

    def map(self, function: Callable[[T], R], items: Sequence[T], kind_of: Callable[[T], Hashable]) -> list[R]:
        """Apply ``function`` to each item on the workers; the first item of every new kind goes before all others.

        Args:
            function: the compiled function, or what calls it.
            items: its inputs.
            kind_of: the kind of an item: equal for inputs that share compiled code, such as those of one shape.

        Returns:
            The results in the order of the items.
        """
        first: dict[int, R] = {}
        if self._compiles:
            for place, item in enumerate(items):
                if (kind := kind_of(item)) not in self._seen:
                    first[place] = function(item)
                    self._seen.add(kind)
        rest = iter(parallel_map(function, [item for place, item in enumerate(items) if place not in first]))
        return [first[place] if place in first else next(rest) for place in range(len(items))]
