"""``potstill leaderboard FOLDER ...``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from potstill import report
from potstill.cli.options import parse
from potstill.cli.output import say
from potstill.runtime.errors import UserError


@dataclass(frozen=True)
class Options:
    """Write leaderboard.md and leaderboard.html about all evaluated sets in some folders.

    Attributes:
        folders: folders with runs and imported sets, at any depth.
        out: where to write. By default the first folder.
    """

    folders: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    out: Path | None = None


def run(words: list[str]) -> None:
    """Write the pages, and print how many results they have and where they are."""
    options = parse(Options, words, command="leaderboard")
    if not options.folders:
        raise UserError("no folder is named", "name folders with runs or imported sets")
    out = options.out or options.folders[0]
    rows = report.write_leaderboard(options.folders, out)
    say(f"{len(rows)} results in {out / 'leaderboard.md'}; the page is {out / 'leaderboard.html'}")
