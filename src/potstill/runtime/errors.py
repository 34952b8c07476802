"""Errors that a person can mend, each with its remedy."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """A mistake of the user's: one line that says what is wrong, where, and what to do.

    The command line prints ``{problem}; {remedy}`` and exits with code 2.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy


class Diverged(UserError):
    """A distillation whose loss stopped being finite; the last good set is kept."""


def at_least(options: object, **least: float) -> None:
    """Make sure that options are no smaller than they may be; those that are None are left open.

    Args:
        options: what has them as attributes.
        least: for each name the smallest value.

    Raises:
        UserError: one is smaller, or is no number.
    """
    for name, bound in least.items():
        value = getattr(options, name)
        if value is not None and not value >= bound:
            option = f"--{name.replace('_', '-')}"
            raise UserError(f"{option} {value} is too small", f"use {bound} or more")


def unknown(kind: str, name: str, known: Iterable[str], *, listing: str) -> UserError:
    """The error for a name that is not in a list: suggests the nearest that is.

    Args:
        kind: what was named, such as ``"dataset"``.
        name: what the user wrote.
        known: the names that exist.
        listing: the command or place that lists them.
    """
    near = get_close_matches(name.lower(), sorted(known), n=1, cutoff=0.5)
    guess = f"did you mean {near[0]!r}? " if near else ""
    return UserError(f"unknown {kind} {name!r}", f"{guess}see {listing}")
