"""Where and how tensors are computed: device, precision, compilation."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import Literal

import torch

from potstill.runtime.compute_choice import Compilation, ComputeChoice, Precision
from potstill.runtime.errors import UserError
from potstill.runtime.machine import processor_facts

COMPILATION_SECONDS = 60
"""What compiling the networks of a run takes, about, on two cores."""


@dataclass(frozen=True)
class Compute:
    """Where and how networks compute, with nothing left to ``auto``.

    Attributes:
        device: where tensors live.
        precision: of the networks.
        compile: whether to compile the networks that gain from it.
    """

    device: torch.device
    precision: Literal["float32", "bfloat16", "float64"] = "float32"
    compile: bool = False

    @property
    def dtype(self) -> torch.dtype:
        """The dtype in which networks compute."""
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}[self.precision]

    @property
    def precise(self) -> Compute:
        """A copy with at least float32, for second derivatives and for steps that must not be rounded."""
        return replace(self, precision="float32") if self.precision == "bfloat16" else self

    def __str__(self) -> str:
        """Such as ``cpu, bfloat16, compiled``."""
        return f"{self.device}, {self.precision}, {'compiled' if self.compile else 'not compiled'}"


CPU = Compute(torch.device("cpu"))


def resolve_device(name: str) -> torch.device:
    """The device called ``name``; ``auto`` takes an accelerator if there is one.

    Raises:
        UserError: there is no such device on this machine.
    """
    if name == "auto":
        return torch.device(
            "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        )
    try:
        device = torch.device(name)
        torch.empty(0, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(f"device {name!r} cannot be used here", "use `device=auto` or `device=cpu`") from error
    return device


def supports_fast_bfloat16(device: torch.device) -> bool:
    """Whether the hardware computes in bfloat16; elsewhere it is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        facts = processor_facts()
        flags = facts.get("flags", "").split()
        # Without AMX, Intel's AVX-512 multiplies bfloat16 no faster than float32; AMD's is twice as fast.
        return "amx_bf16" in flags or ("avx512_bf16" in flags and facts.get("vendor_id") == "AuthenticAMD")
    return False


def supports_compilation(device: torch.device) -> bool:
    """Whether ``torch.compile`` has what it needs: a C++ compiler on the CPU, Triton on CUDA."""
    if device.type == "cpu":
        return any(shutil.which(compiler) for compiler in ("g++", "clang++"))
    if device.type == "cuda":
        from torch.utils._triton import has_triton

        return has_triton()
    return False


def resolve_compute(
    device: str = "auto",
    precision: Precision = "auto",
    compilation: Compilation = "auto",
    *,
    long_run: bool = False,
    time_limit: float | None = None,
) -> Compute:
    """Resolve every ``auto``.

    Low precision and compilation are chosen only if the hardware gains from them and the work is long enough to pay
    for the compilation.

    Args:
        device: a PyTorch device such as ``cuda:1``; ``auto`` takes an accelerator if there is one.
        precision: of the networks.
        compilation: whether to compile networks.
        long_run: whether the work is long; see ``LONG_RUN_PIXELS``.
        time_limit: seconds after which the work ends in any case; nothing is compiled by ``auto`` unless they are at
            least five times ``COMPILATION_SECONDS``.

    Raises:
        UserError: the device is absent, or compilation was requested and is not available.
    """
    where = resolve_device(device)
    if precision == "auto":
        precision = "bfloat16" if long_run and supports_fast_bfloat16(where) else "float32"
    if compilation == "on" and not supports_compilation(where):
        raise UserError("compilation needs a C++ compiler (or Triton on a GPU)", "install g++ or use `compile=auto`")
    pays = long_run and (time_limit is None or time_limit >= 5 * COMPILATION_SECONDS)
    compiled = compilation == "on" or (compilation == "auto" and pays and supports_compilation(where))
    return Compute(where, precision, compiled)


def settled(choice: ComputeChoice, *, long_run: bool) -> Compute:
    """The choice with every ``auto`` resolved; see :func:`resolve_compute`."""
    return resolve_compute(choice.device, choice.precision, choice.compile, long_run=long_run)
