"""``potstill doctor``."""

from __future__ import annotations

from dataclasses import dataclass

from potstill.cli.options import parse
from potstill.cli.output import Table, table_console
from potstill.cli.progress import ProgressLines
from potstill.runtime.doctor import check_sound, examine

MARKS = {"good": "ok", "note": "note", "broken": "BROKEN"}


@dataclass(frozen=True)
class Options:
    """Say what this machine has, what will be slow, and which packages are missing, too old or broken.

    Its exit code is 2 if something is broken.
    """


def run(words: list[str]) -> None:
    """Examine the machine and print a table."""
    parse(Options, words, command="doctor")

    with ProgressLines("examining this machine"):
        findings = list(examine())
    table = Table()
    for column in ("", "what", "found", "what to do"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        table.add_row(MARKS[finding.verdict], finding.what, finding.found, finding.remedy)
    table_console().print(table)
    check_sound(findings)
