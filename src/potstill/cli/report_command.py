"""``potstill report RUN``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from potstill import report
from potstill.cli.options import parse
from potstill.cli.output import say


@dataclass(frozen=True)
class Options:
    """Write report.html and PNG figures about a run.

    Attributes:
        run: folder of the run.
    """

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]


def run(words: list[str]) -> None:
    """Write the page and print its path."""
    options = parse(Options, words, command="report")
    say(f"the page is {report.write_report(options.run)}")
