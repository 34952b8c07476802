"""What a figure was measured on: machine, versions, peak memory."""

from __future__ import annotations

import platform
import resource
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from potstill.runtime.workers import core_count


def package_version() -> str:
    """Potstill's version."""
    try:
        return version("potstill")
    except PackageNotFoundError:
        return "unknown"


def processor_facts() -> dict[str, str]:
    """What Linux tells of the first core by name, such as ``vendor_id`` and ``flags``; nothing elsewhere."""
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n", 1)[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def processor_name() -> str:
    """The processor's own name, where the system tells it."""
    return processor_facts().get("model name") or platform.processor() or platform.machine()


def describe_machine() -> dict[str, str | int]:
    """Processor, cores, accelerator, system and versions, for the record of a run."""
    return {
        "processor": processor_name(),
        "cores": core_count(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "potstill": package_version(),
    }


def peak_memory_bytes(device: torch.device) -> int:
    """The most memory used so far: the device's allocator on a GPU, the process's resident set elsewhere."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        # Not getrusage, where Linux counts what the parent used before it started this process.
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:", 1)[1].split("kB", 1)[0]) * 1024
    except (OSError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
