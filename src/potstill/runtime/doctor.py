"""What this machine has for Potstill: hardware, what will be slow, packages and their versions, folders."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from typing import Literal

from packaging.requirements import Requirement

from potstill.runtime.bounds import bytes_in_words, memory_bytes
from potstill.runtime.errors import UserError, in_one_line
from potstill.runtime.files import cache_folder, data_root
from potstill.runtime.machine import core_count, package_version, processor_name

Verdict = Literal["good", "note", "broken"]

LEAST_DISK = 2**31
MODULES = {"mlflow-skinny": "mlflow"}
"""The module to import, for packages whose module has another name."""
PYTORCH = "torch"
"""The name of PyTorch as a package and as a module."""


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
    yield Finding("potstill", f"{package_version()}, Python {platform.python_version()}")
    yield Finding("processor", f"{processor_name()}, {core_count()} cores")
    yield _memory()
    found = list(_pytorch())
    yield from found
    yield from _packages(with_pytorch=found[0].verdict != "broken")
    yield _cache()
    yield _local_data()


def _memory() -> Finding:
    there = memory_bytes()
    if there < 4 * 2**30:
        return Finding("memory", bytes_in_words(there), "note", "use fewer or smaller images per class")
    return Finding("memory", bytes_in_words(there))


def _pytorch() -> Iterator[Finding]:
    """What PyTorch finds on this machine, or why it cannot be imported."""
    try:
        from potstill.runtime.doctor_of_pytorch import examine_pytorch
    except Exception as error:  # a broken package may raise anything
        if isinstance(error, ModuleNotFoundError) and error.name == PYTORCH:
            yield Finding("PyTorch", "not installed", "broken", f"pip install {PYTORCH}")
        else:
            yield _broken("PyTorch", PYTORCH, PYTORCH, error)
    else:
        yield from examine_pytorch()


def _packages(*, with_pytorch: bool) -> Iterator[Finding]:
    """The packages that Potstill needs and may use, as its installed metadata declares them.

    Args:
        with_pytorch: whether PyTorch can be imported; if not, that is said already.
    """
    try:
        extras = metadata("potstill").get_all("Provides-Extra") or []
        declared = [Requirement(line) for line in requires("potstill") or []]
    except PackageNotFoundError:
        yield Finding("installation", "not installed as a package", "note", "pip install -e . in the checkout")
        return
    needed = [each for each in declared if _applies(each)]
    examined = [each for each in needed if with_pytorch or each.name != PYTORCH]
    unfit = [finding for each in examined if (finding := _dependency(each))]
    yield from unfit or [Finding("packages", f"{len(examined)}, all in the required versions")]
    for extra in extras:
        for requirement in declared:
            if requirement not in needed and _applies(requirement, extra):
                yield _optional_package(requirement, extra, with_pytorch=with_pytorch)


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
    how = f"older than {missed[0].version}" if missed[0].operator == ">=" else f"{missed[0]} is required"
    return f"{requirement.name} {installed} is present, but {how}"


def _optional_package(requirement: Requirement, extra: str, *, with_pytorch: bool) -> Finding:
    """A package of an extra: whether it is there, can be imported, and is of a version that is asked for."""
    what, package = f"extra {extra}", requirement.name
    try:
        installed = version(package)
    except PackageNotFoundError:
        return Finding(what, f"{package} is not installed", "note", f"pip install 'potstill[{extra}]' if you need it")
    try:
        importlib.import_module(MODULES.get(package, package.replace("-", "_")))
    except Exception as error:  # a broken package may raise anything
        if not with_pytorch:
            return Finding(
                what, f"{package} {installed} cannot be imported", "note", "run it again once PyTorch is installed"
            )
        return _broken(what, f"{package} {installed}", package, error)
    if unfit := _unfit(requirement, installed):
        return Finding(what, unfit, "note", f"pip install --upgrade '{package}{requirement.specifier}'")
    return Finding(what, f"{package} {installed}")


def _broken(what: str, named: str, package: str, error: Exception) -> Finding:
    """A package that is there, but cannot be imported."""
    reason = in_one_line(error)[:100]
    if "torchvision" in reason:
        remedy = "install the torchvision that belongs to your PyTorch"
    else:
        remedy = f"pip install --force-reinstall {package}"
    return Finding(what, f"{named} is broken ({reason})", "broken", remedy)


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
