"""How to continue an interrupted command, which is the last line that it prints."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from potstill.runtime.errors import UserError

if TYPE_CHECKING:
    from potstill.distillation import RunFolder


@contextmanager
def going_on(words: Callable[[], Sequence[object]]) -> Iterator[None]:
    """Within this context, an interruption says which command continues the work.

    Args:
        words: called after an interruption; the words after ``potstill``, or none if there is nothing to continue.

    Raises:
        KeyboardInterrupt: the one that was raised within, with the command as its message.
    """
    try:
        yield
    except KeyboardInterrupt as interruption:
        if command := words():
            raise KeyboardInterrupt(go_on_with(command)) from interruption
        raise


def go_on_with(words: Sequence[object]) -> str:
    """The command that continues the work, in words."""
    return f"go on with: {shlex.join(['potstill', *map(str, words)])}"


def given_again(options: Mapping[str, object]) -> list[object]:
    """The words of those options that were given.

    Args:
        options: their values by name; None for what was not given.
    """
    return [word for name, value in options.items() if value is not None for word in (name, value)]


def same_again(command: str, words: Sequence[str]) -> Callable[[], list[str]]:
    """For a command that finds what it has done in its record: the same words."""
    return lambda: [command, *words]


def without(option: str, words: Sequence[str]) -> list[str]:
    """The words without an option and its value."""
    kept: list[str] = []
    skipping = False
    for word in words:
        name, joined, _ = word.partition("=")
        if name.replace("_", "-") == option:
            skipping = not joined
        elif skipping:
            skipping = False
        else:
            kept.append(word)
    return kept


def resuming_distillation(run: RunFolder, *options: object) -> list[object]:
    """The words that resume a run, with further options; none if it was not started or is complete."""
    if not run.config.exists():
        return []
    try:
        if run.read_manifest().status == "complete":
            return []
    except UserError:
        pass  # killed before its first end
    return ["distill", "--out", run.path, "--resume", *options]
