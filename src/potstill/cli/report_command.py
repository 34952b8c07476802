"""``potstill report RUN|SET``."""

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
    """Write report.html and PNG figures about a run or an imported set.

    Attributes:
        run: folder of a run or of an imported set, or hf:OWNER/NAME, whose page is written to runs/OWNER--NAME.
    """

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN|SET")]


def run(words: list[str]) -> None:
    """Write the page and print its path."""
    options = parse(Options, words, command="report")
    say(f"the page is {report.write_report(options.run)}")
