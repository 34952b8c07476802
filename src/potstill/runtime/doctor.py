"""What this machine has for Potstill: hardware, what will be slow, packages and their versions, folders."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from typing import Literal

import torch
import torch.nn.functional as F
from packaging.requirements import Requirement

from potstill.runtime.bounds import bytes_in_words, memory_bytes
from potstill.runtime.compute import resolve_device, supports_compilation, supports_fast_bfloat16
from potstill.runtime.errors import UserError, in_one_line
from potstill.runtime.files import cache_folder, data_root
from potstill.runtime.machine import package_version, processor_name
from potstill.runtime.parallel import core_count

Verdict = Literal["good", "note", "broken"]

LEAST_DISK = 2**31
MODULES = {"mlflow-skinny": "mlflow"}
"""What is imported of packages whose module has another name."""
TIMED = (64, 64, 32)
"""Images, channels and height of the convolution that is timed: that of a ConvNet on CIFAR-10."""


@dataclass(frozen=True)
class Finding:
    """One thing about the machine.

    Attributes:
        what: its name.
        found: what there is.
        verdict: ``good``; ``note``, something to know, such as what will be slow; or ``broken``.
        remedy: what to do about it; empty if nothing need be done.
    """

    what: str
    found: str
    verdict: Verdict = "good"
    remedy: str = ""


def examine() -> Iterator[Finding]:
    """Everything, one after the other; it takes some seconds and changes nothing."""
    yield Finding("potstill", f"{package_version()}, Python {platform.python_version()}, PyTorch {torch.__version__}")
    yield _processor()
    yield _memory()
    yield from _accelerator()
    yield _compiler()
    yield _speed()
    yield from _packages()
    yield _cache()
    yield _local_data()


def _processor() -> Finding:
    cores, threads = core_count(), torch.get_num_threads()
    found = f"{processor_name()}, {cores} cores, {threads} threads of PyTorch"
    if threads < cores and "OMP_NUM_THREADS" in os.environ:
        return Finding("processor", found, "note", "OMP_NUM_THREADS is set: single trainings leave cores idle")
    return Finding("processor", found)


def _memory() -> Finding:
    there = memory_bytes()
    if there < 4 * 2**30:
        return Finding("memory", bytes_in_words(there), "note", "use fewer or smaller images per class")
    return Finding("memory", bytes_in_words(there))


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


def _packages() -> Iterator[Finding]:
    """The packages that Potstill needs and may use, as its installed metadata declares them."""
    try:
        extras = metadata("potstill").get_all("Provides-Extra") or []
        declared = [Requirement(line) for line in requires("potstill") or []]
    except PackageNotFoundError:
        yield Finding("installation", "not installed as a package", "note", "pip install -e . in the checkout")
        return
    needed = [each for each in declared if _applies(each)]
    unfit = [finding for each in needed if (finding := _dependency(each))]
    yield from unfit or [Finding("packages", f"{len(needed)}, all of them in versions that are asked for")]
    for extra in extras:
        for requirement in declared:
            if requirement not in needed and _applies(requirement, extra):
                yield _optional_package(requirement, extra)


def _applies(requirement: Requirement, extra: str = "") -> bool:
    """Whether a package is asked for on this machine, by Potstill itself or by one of its extras."""
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _dependency(requirement: Requirement) -> Finding | None:
    """What is wrong with a package that is always needed; None if nothing is."""
    package = requirement.name
    remedy = f"pip install --upgrade '{package}{requirement.specifier}'"
    try:
        unfit = _unfit(requirement, version(package))
    except PackageNotFoundError:
        return Finding("packages", f"{package} is not installed", "broken", remedy)
    return Finding("packages", unfit, "note", remedy) if unfit else None


def _unfit(requirement: Requirement, installed: str) -> str:
    """How an installed version misses what is asked for; empty if it does not."""
    if requirement.specifier.contains(installed, prereleases=True):
        return ""
    missed = [each for each in requirement.specifier if not each.contains(installed, prereleases=True)]
    how = f"older than {missed[0].version}" if missed[0].operator == ">=" else f"{missed[0]} is asked for"
    return f"{requirement.name} {installed} is present, but {how}"


def _optional_package(requirement: Requirement, extra: str) -> Finding:
    """A package of an extra: whether it is there, can be imported, and is of a version that is asked for."""
    what, package = f"extra {extra}", requirement.name
    try:
        installed = version(package)
    except PackageNotFoundError:
        return Finding(what, f"{package} is not installed", "note", f"pip install 'potstill[{extra}]' if you need it")
    try:
        importlib.import_module(MODULES.get(package, package.replace("-", "_")))
    except Exception as error:  # a broken package may raise anything
        reason = in_one_line(error)[:100]
        return Finding(
            what, f"{package} {installed} is broken ({reason})", "broken", f"pip install --force-reinstall {package}"
        )
    if unfit := _unfit(requirement, installed):
        return Finding(what, unfit, "note", f"pip install --upgrade '{package}{requirement.specifier}'")
    return Finding(what, f"{package} {installed}")


def _cache() -> Finding:
    folder = cache_folder("decoded")
    if folder is None:
        return Finding("cache", "none", "note", "set XDG_CACHE_HOME, or images are decoded each time")
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Finding("cache", f"{folder} cannot be written", "broken", "set XDG_CACHE_HOME to another")
    free = shutil.disk_usage(there).free
    found = f"{folder}, {bytes_in_words(free)} free"
    if free < LEAST_DISK:
        return Finding("cache", found, "note", "free some space, or set XDG_CACHE_HOME")
    return Finding("cache", found)


def _local_data() -> Finding:
    root = data_root()
    if root is None:
        return Finding("local data", "POTSTILL_DATA is not set: catalogue datasets come from the Hugging Face hub")
    if not root.is_dir():
        return Finding("local data", f"POTSTILL_DATA names {root}, which is not a directory", "broken", "correct it")
    try:
        names = sorted(child.name for child in root.iterdir() if child.is_dir())
    except OSError as error:
        return Finding("local data", f"{root} cannot be read ({error.strerror})", "broken", "correct its permissions")
    return Finding("local data", f"{root}: {', '.join(names) or 'no folders'}")


def check_sound(findings: list[Finding]) -> None:
    """Make sure that nothing is broken.

    Raises:
        UserError: something is.
    """
    broken = [finding for finding in findings if finding.verdict == "broken"]
    if broken:
        names = ", ".join(dict.fromkeys(finding.what for finding in broken))
        raise UserError(f"{len(broken)} broken: {names}", broken[0].remedy)
