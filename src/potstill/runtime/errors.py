"""Errors that the user can fix, each with its remedy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from potstill.runtime.text import visible


class UserError(Exception):
    """An error that the user can fix: one line that says what is wrong, where, and what to do.

    Options are written in backquotes, as Python writes arguments: ``use `ipc=1` or more``. The command line prints
    ``{problem}; {remedy}`` with flags in their place, ``use --ipc 1 or more``, and exits with code 2. Names in it may
    come from anywhere: they are made visible here, once for all errors.

    Args:
        problem: what is wrong and where, without a full stop.
        remedy: what to do, as an imperative.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem = visible(problem)
        self.remedy = visible(remedy)
        super().__init__(f"{self.problem}; {self.remedy}")

    def __reduce__(self) -> tuple[type[UserError], tuple[str, str]]:
        """As it was made: an error of a worker process comes back whole."""
        return type(self), (self.problem, self.remedy)


class Unlabelled(UserError):
    """What was named holds images or vectors, but no labels that tell classes apart."""


class Diverged(UserError):
    """The loss of a distillation is no longer finite; the last good set is kept."""


class LostRank(UserError):
    """Another rank ended, and nothing can be exchanged with it any more."""


def with_flags(message: str) -> str:
    """A message with its options as the command line writes them.

    ``\\`batch_real=1\\``` becomes ``--batch-real 1``, ``\\`resume=True\\``` becomes ``--resume``, and
    ``\\`augment=False\\``` becomes ``--no-augment``.
    """
    return _OPTION.sub(_flag, message)


_OPTION = re.compile(r"`([a-z][a-z_]*)(?:=([^`]*))?`")


def _flag(option: re.Match[str]) -> str:
    name, value = option[1].replace("_", "-"), option[2]
    if value in (None, "True"):
        return f"--{name}"
    return f"--no-{name}" if value == "False" else f"--{name} {value}"


def is_lack_of_memory(error: Exception) -> bool:
    """Whether an allocator failed: PyTorch's own error on a GPU, a plain one on a CPU."""
    message = str(error)
    return isinstance(error, MemoryError) or "out of memory" in message or "can't allocate memory" in message


def in_one_line(error: Exception) -> str:
    """The message of another library's error: the first line that has a word and does not only introduce the next."""
    if isinstance(error, MemoryError):
        return "it does not fit in memory"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    lines = [line.strip() for line in text.splitlines() if re.search(r"\w", line)]
    says = next((line for line in lines if not line.endswith(":")), lines[0] if lines else type(error).__name__)
    return says.rstrip(".")


def differing(settings: Mapping[str, tuple[object, object]]) -> str:
    """Settings that differ from recorded ones, with both values: ``\\`seed\\` (7 there, 8 here)``.

    Args:
        settings: by the name of the option, the recorded value and the one that is asked for. Values other than
            numbers, text and truth values are not shown.
    """
    return ", ".join(f"`{name}`{_both(*values)}" for name, values in settings.items())


def _both(there: object, here: object) -> str:
    if not all(isinstance(value, str | int | float | tuple | None) for value in (there, here)):
        return ""
    return f" ({_value(there)} there, {_value(here)} here)"


def _value(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return ",".join(map(_value, value)) if isinstance(value, tuple) else f"{value}"


def unknown(kind: str, name: str, known: Iterable[str], *, listing: str) -> UserError:
    """The error for a name that is not in a list, with the closest name as a suggestion.

    Args:
        kind: the kind of thing that was named, such as ``"dataset"``.
        name: what the user wrote.
        known: the names that exist.
        listing: the command, or the names themselves, that the remedy points to.
    """
    near = get_close_matches(name.lower(), sorted(known), n=1, cutoff=0.5)
    guess = f"did you mean {near[0]!r}? " if near else ""
    return UserError(f"unknown {kind} {name!r}", f"{guess}see {listing}")
