"""Who does many trainings, as a user asks for it: this process, other processes, or workers on other machines."""

from __future__ import annotations

import re

from potstill.runtime.errors import UserError

HERE = "here"
"""This process, one training after the other."""
AUTO = "auto"
"""Processes where they are faster, otherwise ``here``."""

_ARGUMENTS = {
    "processes": (r"0*[1-9][0-9]{0,3}", "the number of processes", "processes:2"),
    "dask": (r"\S+", "the address of a scheduler, or its file", "dask:127.0.0.1:8786"),
    "slurm": (r"[\w.,-]+(:0*[1-9][0-9]{0,3})?", "a partition, and perhaps the number of jobs at once", "slurm:gpu:16"),
}
"""What stands after the colon of a name: its pattern, what it means, and an example."""


def check_executor(name: str) -> None:
    """Make sure that ``name`` is that of an executor: ``here``, ``auto``, or ``processes:N`` and the like.

    Raises:
        UserError: it is not.
    """
    kind, _, argument = name.partition(":")
    if kind in _ARGUMENTS:
        pattern, meaning, example = _ARGUMENTS[kind]
        if not re.fullmatch(pattern, argument, re.ASCII):
            raise UserError(f"`executor={name}` does not name {meaning}", f"use, for example, `executor={example}`")
    elif name not in (HERE, AUTO):
        examples = ", ".join(f"`executor={example}`" for _, _, example in _ARGUMENTS.values())
        raise UserError(f"unknown executor {name!r}", f"use `executor=here` or, for example, {examples}")
