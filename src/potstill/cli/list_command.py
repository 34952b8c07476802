"""``potstill list methods|datasets|networks|recipes``."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro
from rich.table import Table

from potstill.cli.options import parse, table_console


@dataclass(frozen=True)
class Options:
    """List what there is.

    Attributes:
        what: which list.
    """

    what: Annotated[Literal["methods", "datasets", "networks", "recipes", "reproductions"], tyro.conf.Positional]


def run(words: list[str]) -> None:
    """Print the list that ``words`` name."""
    what = parse(Options, words, command="list").what
    rows = {
        "methods": _methods,
        "datasets": _datasets,
        "networks": _networks,
        "recipes": _recipes,
        "reproductions": _reproductions,
    }[what]()
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for header in rows[0]:
        shown.add_column(header)
    for row in rows[1:]:
        shown.add_row(*row)
    table_console().print(shown)


def _methods() -> list[tuple[str, ...]]:
    from potstill.methods import METHODS

    rows = [(m.name, _summary(m), f"{m.citation.venue} {m.citation.year}") for m in METHODS.values()]
    return [("method", "what it does", "from"), *rows]


def _datasets() -> list[tuple[str, ...]]:
    from potstill.data import CATALOGUE

    rows = [
        (e.name, e.title, "×".join(map(str, e.shape)), str(e.classes), e.hub or "embedded", e.licence)
        for e in CATALOGUE.values()
    ]
    return [("dataset", "title", "C×H×W", "classes", "hub", "licence"), *rows]


def _networks() -> list[tuple[str, ...]]:
    from potstill.networks import NETWORKS, options_of

    rows = []
    for name, family in NETWORKS.items():
        options = ", ".join(f"{o.name}={o.default} ({o.allowed})" for o in options_of(family).values())
        rows.append((name, _summary(family), options or "-"))
    return [("network", "what it is", "options, as in convnet:depth=4"), *rows]


def _recipes() -> list[tuple[str, ...]]:
    from potstill.evaluation import RECIPES

    return [("recipe", "what it does"), *((r.label, r.summary) for r in RECIPES.values())]


def _reproductions() -> list[tuple[str, ...]]:
    from potstill.reproductions import REPRODUCTIONS

    rows = [(r.name, r.title, r.recipe, ", ".join(row.label for row in r.rows)) for r in REPRODUCTIONS.values()]
    return [("reproduction", "what it is", "recipe", "rows"), *rows]


def _summary(thing: object) -> str:
    return (inspect.getdoc(thing) or "").split("\n", 1)[0].rstrip(".")
