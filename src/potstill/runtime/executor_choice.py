"""Who does many trainings, as a user asks for it: this process, or several others."""

from __future__ import annotations

import re

from potstill.runtime.errors import UserError

HERE = "here"
"""This process, one training after the other."""
AUTO = "auto"
"""Processes where they are faster, otherwise ``here``."""


def check_executor(name: str) -> None:
    """Make sure that there is an executor of this name: ``here``, ``processes:N`` or ``auto``.

    Raises:
        UserError: there is none.
    """
    if name not in (HERE, AUTO) and not re.fullmatch(r"processes:0*[1-9][0-9]{0,3}", name, re.ASCII):
        raise UserError(f"unknown executor {name!r}", "use `executor=here` or, for example, `executor=processes:2`")


def processes_in(name: str) -> int:
    """The number of processes in the name of an executor; 0 for ``here``.

    Raises:
        UserError: there is no such executor.
    """
    check_executor(name)
    return int(name.partition(":")[2] or 0)
