"""Bounds: every number that a user gives is checked before anything is done with it, and memory before it is taken."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
from collections.abc import Iterator
from contextvars import ContextVar
from numbers import Real
from pathlib import Path
from typing import Any

from potstill.runtime.errors import UserError


def at_least(options: object, **least: float) -> None:
    """Check the lower bounds of options; an option that is None is not checked.

    Args:
        options: an object that has the options as attributes.
        least: the smallest allowed value of each option.

    Raises:
        UserError: an option is smaller than its bound, infinite or NaN.
    """
    for name, bound in least.items():
        check_least(name, getattr(options, name), bound)


def check_least(name: str, value: float | None, least: float) -> None:
    """Check the lower bound of one option; None is not checked.

    Args:
        name: of the option, for the error.
        value: its value.
        least: the lower bound.

    Raises:
        UserError: the value is smaller than ``least``, infinite, NaN or no number.
    """
    if value is None:
        return
    _check_finite(name, value, f"{least:g} or more")
    if value < least:
        raise UserError(f"`{name}={value}` is too small", f"use `{name}={least}` or more")


def positive(options: object, *names: str) -> None:
    """Check that options are above 0; an option that is None is not checked.

    Raises:
        UserError: an option is 0 or less, infinite or NaN.
    """
    for name in names:
        value = getattr(options, name)
        if value is None:
            continue
        _check_finite(name, value, "a value above 0")
        if value <= 0:
            raise UserError(f"`{name}={value}` is not positive", "use a value above 0")


def below_one(options: object, *names: str) -> None:
    """Check that options are from 0 to below 1; an option that is None is not checked.

    Raises:
        UserError: an option is outside [0, 1), or NaN.
    """
    for name in names:
        value = getattr(options, name)
        if value is not None and not 0 <= value < 1:
            raise UserError(f"`{name}={value}` is not in [0, 1)", "use a value from 0 to below 1")


def all_finite(options: Any) -> None:
    """Check that no field of a dataclass is an infinite number or NaN, whatever other bounds it has.

    Raises:
        UserError: a field is infinite or NaN.
    """
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if isinstance(value, float):
            _check_finite(field.name, value, "a finite value")


def _check_finite(name: str, value: float, allowed: str) -> None:
    if not isinstance(value, Real):
        raise UserError(f"`{name}={value!r}` is not a number", f"use {allowed}")
    if isinstance(value, float) and not math.isfinite(value):  # whole numbers are finite, however long
        raise UserError(f"`{name}={value}` is not a finite number", f"use {allowed}")


_limit: ContextVar[float] = ContextVar("_limit", default=math.inf)


@contextlib.contextmanager
def memory_limit(limit: float | None) -> Iterator[None]:
    """Within this context :func:`memory_bytes` is at most ``limit`` bytes; None changes nothing.

    It holds for the thread that enters it, and neither for threads that it starts nor for worker processes.

    Raises:
        UserError: the limit is not positive.
    """
    if limit is not None and not limit > 0:
        raise UserError(f"`memory_limit={limit}` is not positive", "use a number of bytes above 0")
    token = _limit.set(min(_limit.get(), math.inf if limit is None else limit))
    try:
        yield
    finally:
        _limit.reset(token)


def memory_bytes() -> float:
    """The memory of the machine, or of the container around this process, or its ``memory_limit`` if that is less.

    Infinite if there is no limit and the system reports nothing.
    """
    return min(_limit.get(), _installed_bytes())


def has_memory_limit() -> bool:
    """Whether a ``memory_limit`` counts, and not the memory of the machine or of its container."""
    return _limit.get() < _installed_bytes()


def _installed_bytes() -> float:
    try:
        installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return math.inf
    with contextlib.suppress(OSError, ValueError):
        installed = min(installed, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return installed


def bytes_in_words(number: float) -> str:
    """A number of bytes to three digits, in powers of a thousand: 31360 as ``31.4 kB``."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 999.5:
            return f"{number:.0f} bytes" if unit == "bytes" else f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB" if number < 999.5 else f"{number:,.0f} TB"


def check_memory(what: str, needed: float, remedy: str) -> None:
    """Check that something fits into the memory of this machine.

    Args:
        what: what needs the memory, such as ``"network 'mlp'"``.
        needed: the bytes that it needs at least.
        remedy: what to do if it does not fit.

    Raises:
        UserError: it does not fit.
    """
    if needed > (there := memory_bytes()):
        whose = "the memory limit is" if there == _limit.get() else "this machine has"
        raise UserError(f"{what} needs {bytes_in_words(needed)}, and {whose} {bytes_in_words(there)}", remedy)
