"""``potstill list methods|datasets|...`` and ``potstill cite METHOD ...``: what exists, and what to cite."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.table import Table

from potstill import data, evaluation, methods, networks, reproductions
from potstill.cli.options import parse
from potstill.runtime.errors import UserError, with_flags

WIDTH = 80
"""Columns of a list that is printed to a file or a pipe."""


@dataclass(frozen=True)
class Options:
    """List methods, datasets, networks, recipes or reproductions.

    Attributes:
        what: the list to print.
    """

    what: Annotated[Literal["methods", "datasets", "networks", "recipes", "reproductions"], tyro.conf.Positional]


@dataclass(frozen=True)
class Cited:
    """Print the BibTeX entries of the papers that methods are from.

    Attributes:
        methods: names of methods, or module:Class; see potstill list methods.
    """

    methods: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="METHOD [METHOD ...]")]


def run(words: list[str]) -> None:
    """Print a list."""
    what = parse(Options, words, command="list").what
    rows = {
        "methods": _methods,
        "datasets": _datasets,
        "networks": _networks,
        "recipes": _recipes,
        "reproductions": _reproductions,
    }[what]()
    shown = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for number, header in enumerate(rows[0]):
        shown.add_column(header, no_wrap=number == 0)
    for row in rows[1:]:
        shown.add_row(*row)
    Console(width=None if sys.stdout.isatty() else WIDTH, markup=False, highlight=False).print(shown)


def cite(words: list[str]) -> None:
    """Print the BibTeX entries of methods; a paper that several of them are from is printed once."""
    named = parse(Cited, words, command="cite").methods
    if not named:
        raise UserError("no method is named", "use potstill cite METHOD; see potstill list methods")
    print("\n\n".join(dict.fromkeys(methods.find_citation(name).bibtex() for name in named)))


def _methods() -> list[tuple[str, ...]]:
    rows = [
        (name, method.summary, f"{short_venue(method.citation.venue)} {method.citation.year}")
        for name, method in methods.entries().items()
    ]
    return [("method", "what it does", "published"), *rows]


def _datasets() -> list[tuple[str, ...]]:
    rows = []
    for entry in data.CATALOGUE.values():
        shape = "×".join(map(str, entry.shape))
        about = f"{entry.title}. {f'hf:{entry.hub}' if entry.hub else 'Embedded'}; licence: {entry.licence}"
        rows.append((entry.name, shape, str(entry.classes), about))
    return [("dataset", "C×H×W", "classes", "what it is"), *rows]


def _networks() -> list[tuple[str, ...]]:
    rows = []
    for name, family in networks.entries().items():
        options = ", ".join(f"{o.name}={o.default} ({o.allowed})" for o in family.options.values())
        rows.append((name, family.summary, options or "-"))
    rows.append(("timm:MODEL", "A model from the package timm, if installed", "weights=None (cached | FILE)"))
    return [("network", "what it is", "options, as in convnet:depth=4"), *rows]


def _recipes() -> list[tuple[str, ...]]:
    return [("recipe", "what it does"), *((r.label, r.summary) for r in evaluation.RECIPES.values())]


def _reproductions() -> list[tuple[str, ...]]:
    rows = [
        (made.name, with_flags(made.title), made.recipe, ", ".join(row.label for row in made.rows))
        for made in reproductions.REPRODUCTIONS.values()
    ]
    return [("reproduction", "what it is", "recipe", "rows"), *rows]


def short_venue(venue: str) -> str:
    """The short name of a venue: the part in brackets, or its last word."""
    short = re.search(r"\((.+)\)", venue)
    return short[1] if short else {"arXiv preprint": "arXiv"}.get(venue, venue.rsplit(" ", 1)[-1])
