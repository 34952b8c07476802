"""Potstill: distil labelled image datasets, and measure honestly what the few images are worth.

    import potstill

    digits = potstill.load_dataset("digits")
    run = potstill.distill(potstill.Settings(method=potstill.DM(), ipc=1, iterations=300), digits)
    worth = potstill.evaluate(run.synthetic, digits, recipe="quick")
    print(worth.networks["convnet"].mean)

Importing this module loads nothing else: each name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from potstill.data import CATALOGUE, load_dataset
    from potstill.distillation.driver import distill
    from potstill.distillation.settings import Settings
    from potstill.evaluation import RECIPES, FullTraining, Session, evaluate
    from potstill.methods import DM, METHODS, DataDAM, Random
    from potstill.networks import NETWORKS, build_network
    from potstill.report import write_report
    from potstill.runtime.compute import resolve_compute
    from potstill.runtime.errors import UserError
    from potstill.synthetic import SyntheticSet

_HOMES = {
    "CATALOGUE": "potstill.data",
    "DM": "potstill.methods",
    "FullTraining": "potstill.evaluation",
    "METHODS": "potstill.methods",
    "NETWORKS": "potstill.networks",
    "RECIPES": "potstill.evaluation",
    "DataDAM": "potstill.methods",
    "Random": "potstill.methods",
    "Session": "potstill.evaluation",
    "Settings": "potstill.distillation",
    "SyntheticSet": "potstill.synthetic",
    "UserError": "potstill.runtime.errors",
    "build_network": "potstill.networks",
    "distill": "potstill.distillation",
    "evaluate": "potstill.evaluation",
    "load_dataset": "potstill.data",
    "resolve_compute": "potstill.runtime.compute",
    "write_report": "potstill.report",
}

__all__ = [
    "CATALOGUE",
    "DM",
    "METHODS",
    "NETWORKS",
    "RECIPES",
    "DataDAM",
    "FullTraining",
    "Random",
    "Session",
    "Settings",
    "SyntheticSet",
    "UserError",
    "build_network",
    "distill",
    "evaluate",
    "load_dataset",
    "resolve_compute",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'potstill' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
