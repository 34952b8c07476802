"""The methods by name. What is listed and cited is what their sources say; a method is imported only to be used."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from potstill.methods import citations
from potstill.methods.base import Method
from potstill.methods.citations import Citation
from potstill.methods.imported import imported_method, reference_to
from potstill.runtime.errors import unknown
from potstill.runtime.lazy import Located, class_syntax, declared_values, public_names, summary

PACKAGE = "potstill.methods"
CHOSEN = (f"{PACKAGE}.coresets", f"{PACKAGE}.rded")
"""The modules of methods that choose images, instead of learning them."""


@dataclass(frozen=True)
class MethodEntry:
    """What is known of a method before it is imported.

    Attributes:
        location: ``module:Class``.
        summary: the first line of its docstring, without the full stop.
        citation: its paper.
    """

    location: str
    summary: str
    citation: Citation


@cache
def entries() -> Mapping[str, MethodEntry]:
    """The entry of every method by name: distillation methods by year of publication, then those that choose.

    A method is a class that ``potstill.methods`` offers, and that declares a name and a citation.
    """
    found: dict[str, tuple[tuple[int, int], MethodEntry]] = {}
    for location in public_names(PACKAGE).values():
        syntax = class_syntax(location)
        values = {} if syntax is None else declared_values(syntax)
        if syntax is None or not {"name", "citation"} <= values.keys():
            continue
        entry = MethodEntry(location, summary(syntax), _citation(values["citation"]))
        module = location.partition(":")[0]
        place = (CHOSEN.index(module) + 1, syntax.lineno) if module in CHOSEN else (0, entry.citation.year)
        found[ast.literal_eval(values["name"])] = place, entry
    return {name: found[name][1] for name in sorted(found, key=lambda name: found[name][0])}


def _citation(value: ast.expr) -> Citation:
    """The citation that a class declares: one of its own, or the name of one in ``citations``."""
    if isinstance(value, ast.Call):
        return Citation(**{str(each.arg): ast.literal_eval(each.value) for each in value.keywords})
    return getattr(citations, ast.unparse(value))


METHODS: Mapping[str, type[Method]] = Located({name: entry.location for name, entry in entries().items()})
"""Every method of this package, by name; a class is imported when it is asked for."""


def find_method(name: str) -> type[Method]:
    """The registered method of that name, or the class that ``module:Class`` refers to; its module is imported.

    Raises:
        UserError: there is no such method, or the class is not a usable method.
    """
    if ":" in name:
        return imported_method(name)
    _check_known(name)
    return METHODS[name]


def find_citation(name: str) -> Citation:
    """The paper of a method, named as for ``find_method``; a registered one is not imported.

    Raises:
        UserError: there is no such method, or the class is not a usable method.
    """
    if ":" in name:
        return imported_method(name).citation
    _check_known(name)
    return entries()[name].citation


def method_name(method: type[Method]) -> str:
    """The name under which ``find_method`` finds a method: the registered name, or ``module:Class``."""
    entry = entries().get(method.name)
    return method.name if entry is not None and entry.location == reference_to(method) else reference_to(method)


def _check_known(name: str) -> None:
    if name not in METHODS:
        raise unknown("method", name, METHODS, listing="potstill list methods")
