"""What PyTorch finds on this machine: threads, accelerator, compiler, and how fast it computes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import torch
import torch.nn.functional as F

from potstill.runtime.compute import resolve_device, supports_compilation, supports_fast_bfloat16
from potstill.runtime.doctor import Finding
from potstill.runtime.errors import in_one_line
from potstill.runtime.machine import core_count

TIMED = (64, 64, 32)
"""Images, channels and height of the convolution that is timed: that of a ConvNet on CIFAR-10."""


def examine_pytorch() -> Iterator[Finding]:
    """Everything that needs PyTorch."""
    yield _threads()
    yield from _accelerator()
    yield _compiler()
    yield _speed()


def _threads() -> Finding:
    threads = torch.get_num_threads()
    found = f"{torch.__version__}, {threads} thread{'s' * (threads != 1)}"
    if threads < core_count() and "OMP_NUM_THREADS" in os.environ:
        return Finding("PyTorch", found, "note", "OMP_NUM_THREADS is set: single trainings leave cores idle")
    return Finding("PyTorch", found)


def _accelerator() -> Iterator[Finding]:
    device = resolve_device("auto")
    if device.type == "cpu":
        yield Finding(
            "accelerator",
            "none that this PyTorch can use",
            "note",
            "CIFAR-10 at published lengths takes hours to days without one",
        )
        return
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    try:
        torch.ones(8, device=device).sum().item()
    except RuntimeError as error:
        yield Finding("accelerator", name, "broken", f"it fails ({in_one_line(error)[:80]}); use --device cpu")
        return
    if supports_fast_bfloat16(device):
        yield Finding("accelerator", f"{name}, bfloat16")
    else:
        yield Finding("accelerator", f"{name}, without bfloat16", "note", "long runs use float32")


def _compiler() -> Finding:
    device = resolve_device("auto")
    needed = "Triton" if device.type == "cuda" else "a C++ compiler"
    if supports_compilation(device):
        return Finding("compiler", f"{needed}: long runs are compiled")
    if device.type not in ("cpu", "cuda"):
        return Finding("compiler", f"none is used on {device.type}")
    remedy = "long runs are not compiled: install " + ("triton" if device.type == "cuda" else "g++")
    return Finding("compiler", f"no {needed.removeprefix('a ')}", "note", remedy)


def _speed() -> Finding:
    """The rate of a convolution on the CPU, by PyTorch's threads, in the precision that long runs would have."""
    cpu = torch.device("cpu")
    dtype = torch.bfloat16 if supports_fast_bfloat16(cpu) else torch.float32
    images, channels, height = TIMED
    x = torch.ones(images, channels, height, height, dtype=dtype).contiguous(memory_format=torch.channels_last)
    weight = torch.ones(channels, channels, 3, 3, dtype=dtype)
    operations = 2 * images * channels**2 * 9 * height**2
    best = 0.0
    with torch.no_grad():
        for _ in range(8):
            started = time.perf_counter()
            F.conv2d(x, weight, padding=1)
            best = max(best, operations / (time.perf_counter() - started))
    name = "bfloat16" if dtype == torch.bfloat16 else "float32"
    found = f"{best / 1e9:,.0f} GFLOP/s in convolutions of {name}, by {torch.get_num_threads()} threads of the CPU"
    if name == "float32" and resolve_device("auto").type == "cpu":
        return Finding("speed", found, "note", "this processor does not compute in bfloat16, which would be faster")
    return Finding("speed", found)
