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

from typing import TYPE_CHECKING

from potstill.runtime.lazy import on_first_use

if TYPE_CHECKING:
    from potstill.applications.audit.auditing import audit_pipeline as audit  # noqa: F401 - by a shorter name
    from potstill.data import CATALOGUE as CATALOGUE
    from potstill.data import dataset_of as dataset_of
    from potstill.data import load_dataset as load_dataset
    from potstill.distillation import Settings as Settings
    from potstill.distillation import distill as distill
    from potstill.evaluation import RECIPES as RECIPES
    from potstill.evaluation import FullTraining as FullTraining
    from potstill.evaluation import Session as Session
    from potstill.evaluation import evaluate as evaluate
    from potstill.evaluation import exchange as exchange
    from potstill.inspection import inspect as inspect
    from potstill.methods import *  # noqa: F403 - every method, whatever is registered there
    from potstill.methods import METHODS as METHODS
    from potstill.networks import NETWORKS as NETWORKS
    from potstill.networks import build_network as build_network
    from potstill.report import write_report as write_report
    from potstill.runtime.compute import resolve_compute as resolve_compute
    from potstill.runtime.errors import UserError as UserError
    from potstill.synthetic import SyntheticSet as SyntheticSet
else:
    __getattr__, __dir__, __all__ = on_first_use(__name__)
