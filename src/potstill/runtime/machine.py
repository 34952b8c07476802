"""What a result was measured on: machine, versions, peak memory."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # imported here, so that the version can be printed without it
    import torch


@cache
def package_version() -> str:
    """Potstill's version; in a checkout of its repository with the commit, such as ``0.1.0+51ab7e26-dirty``."""
    try:
        released = version("potstill")
    except PackageNotFoundError:
        return "unknown"
    commit = _commit(Path(__file__).parents[3])
    return f"{released}+{commit}" if commit else released


def _commit(root: Path) -> str:
    if not (root / ".git").exists() or not (root / "src" / "potstill").is_dir():
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--abbrev=8", "--exclude=*", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def core_count() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor_facts() -> dict[str, str]:
    """What Linux reports about the first core, by name, such as ``vendor_id`` and ``flags``; empty on other systems."""
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n", 1)[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def processor_name() -> str:
    """The processor's name, with its generation where available: virtual machines often hide the model name."""
    facts = processor_facts()
    name = facts.get("model name") or platform.processor() or platform.machine()
    family, model = facts.get("cpu family"), facts.get("model")
    return f"{name} (family {family}, model {model})" if family and model else name


def describe_machine() -> dict[str, str | int]:
    """Processor, cores, accelerator, system and versions, as a run records them."""
    import torch

    return {
        "processor": processor_name(),
        "cores": core_count(),
        "accelerator": _accelerator() if torch.cuda.is_available() else "none",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "potstill": package_version(),
    }


def _accelerator() -> str:
    """The name of the GPU, and whether its convolutions in float32 are rounded to TF32, as PyTorch's default is."""
    import torch

    name = torch.cuda.get_device_name()
    if torch.cuda.get_device_capability() < (8, 0):
        return name
    try:
        rounds = torch.backends.cudnn.allow_tf32
    except RuntimeError:  # the newer setting was used, after which the older one cannot be read
        rounds = torch.backends.cudnn.conv.fp32_precision == "tf32"  # pyright: ignore
    return f"{name} with TF32 in convolutions of float32" if rounds else name


def machine_in_words() -> str:
    """One line of :func:`describe_machine`."""
    facts = describe_machine()
    accelerator = "" if facts["accelerator"] == "none" else f", {facts['accelerator']}"
    versions = ", ".join(f"{name} {facts[name]}" for name in ("torch", "potstill"))
    return f"{facts['processor']}, {facts['cores']} cores{accelerator}; {versions}"


def reset_peak_memory(device: torch.device) -> None:
    """Start a new measurement of the peak; where the system does not allow it, the earlier peak remains."""
    if device.type == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")


def resident_bytes() -> int:
    """The memory of this process that is in use; 0 where the system does not report it."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def peak_memory_bytes(device: torch.device) -> int:
    """The peak memory since the last reset, in bytes: of the allocator on a GPU, otherwise resident in the process.

    0 where the system does not report it, as on Windows.
    """
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device)
    try:
        # Not getrusage: on Linux it includes what the parent used before it started this process.
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:", 1)[1].split("kB", 1)[0]) * 1024
    except (OSError, IndexError):
        try:
            import resource
        except ImportError:
            return 0
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def torchrun_rank() -> int | None:
    """The number of this process among those that ``torchrun`` started together; None if it is alone."""
    if "TORCHELASTIC_RUN_ID" not in os.environ or int(os.environ["WORLD_SIZE"]) == 1:
        return None
    return int(os.environ["RANK"])
