"""Errors that the user can fix, each with its remedy."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from potstill.runtime.text import visible


class UserError(Exception):
    """An error that the user can fix: one line that says what is wrong, where, and what to do.

    The command line prints ``{problem}; {remedy}`` and exits with code 2. Names in it may come from anywhere: they are
    made visible here, once for all errors.

    Args:
        problem: what is wrong and where, without a full stop.
        remedy: what to do, as an imperative.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem = visible(problem)
        self.remedy = visible(remedy)
        super().__init__(f"{self.problem}; {self.remedy}")


class Diverged(UserError):
    """The loss of a distillation is no longer finite; the last good set is kept."""


def at_least(options: object, **least: float) -> None:
    """Check the lower bounds of options; an option that is None is not checked.

    Args:
        options: an object that has the options as attributes.
        least: the smallest allowed value of each option.

    Raises:
        UserError: an option is smaller than its bound, or is NaN.
    """
    for name, bound in least.items():
        value = getattr(options, name)
        if value is not None and not value >= bound:
            option = f"--{name.replace('_', '-')}"
            raise UserError(f"{option} {value} is too small", f"use {bound} or more")


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
