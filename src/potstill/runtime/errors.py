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
