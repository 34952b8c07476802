"""Potstill distils labelled image datasets into a few synthetic images, and measures what these are worth.

    import potstill

    digits = potstill.load_dataset("digits")
    run = potstill.distill(potstill.Settings(method=potstill.DM(), ipc=1, iterations=300), digits)
    worth = potstill.evaluate(run.synthetic, digits, recipe="quick")
    print(worth.networks["convnet"].mean)

Every method is a public name of this package: ``potstill.DM``, ``potstill.MTT`` and so on. ``import potstill`` loads
nothing else; each name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from potstill.data import CATALOGUE, load_dataset
    from potstill.distillation.driver import distill
    from potstill.distillation.settings import Settings
    from potstill.evaluation import RECIPES, FullTraining, Session, evaluate
    from potstill.inspection import inspect
    from potstill.methods import *  # noqa: F403 - every method, whatever is registered there
    from potstill.methods import METHODS
    from potstill.networks import NETWORKS, build_network
    from potstill.report import write_report
    from potstill.runtime.compute import resolve_compute
    from potstill.runtime.errors import UserError
    from potstill.synthetic import SyntheticSet

_HOMES = {
    "CATALOGUE": "potstill.data",
    "FullTraining": "potstill.evaluation",
    "METHODS": "potstill.methods",
    "NETWORKS": "potstill.networks",
    "RECIPES": "potstill.evaluation",
    "Session": "potstill.evaluation",
    "Settings": "potstill.distillation",
    "SyntheticSet": "potstill.synthetic",
    "UserError": "potstill.runtime.errors",
    "build_network": "potstill.networks",
    "distill": "potstill.distillation",
    "evaluate": "potstill.evaluation",
    "inspect": "potstill.inspection",
    "load_dataset": "potstill.data",
    "resolve_compute": "potstill.runtime.compute",
    "write_report": "potstill.report",
}

__all__ = [
    "CATALOGUE",
    "METHODS",
    "NETWORKS",
    "RECIPES",
    "FullTraining",
    "Session",
    "Settings",
    "SyntheticSet",
    "UserError",
    "build_network",
    "distill",
    "evaluate",
    "inspect",
    "load_dataset",
    "resolve_compute",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name[:1].isupper() and name in (methods := _methods()):
        return methods[name]
    raise AttributeError(f"module 'potstill' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_methods()})


def _methods() -> dict[str, Any]:
    """Every registered method by the name of its class."""
    return {method.__name__: method for method in import_module("potstill.methods").METHODS.values()}
