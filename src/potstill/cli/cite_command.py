"""``potstill cite METHOD``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from potstill.cli.options import parse
from potstill.methods import find_method


@dataclass(frozen=True)
class Options:
    """Print the citation of the paper that a method is from.

    Attributes:
        method: its name, or module:Class; see potstill list methods.
    """

    method: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="METHOD")]


def run(words: list[str]) -> None:
    """Print BibTeX."""
    print(find_method(parse(Options, words, command="cite").method).citation.bibtex())
