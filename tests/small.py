"""Small data and problems that the tests of several parts share: the package's own, and what only tests need."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from potstill.data import ImageDataset
from potstill.evaluation import Recipe, Session
from potstill.evaluation.recipes import RECIPES
from potstill.runtime.compute import CPU, Compute
from potstill.testing.problems import NETWORK, digits, few, problem, small_digits, small_experts

CPU64 = Compute(torch.device("cpu"), "float64")

__all__ = ["CPU64", "NETWORK", "digits", "few", "on_cpu", "problem", "short_recipes", "small_digits", "small_experts"]


def short_recipes(epochs: int = 20) -> dict[str, Recipe]:
    """The recipes by their names, none of more epochs on a small set than these, or more than a few on all images."""
    short = {name: replace(recipe, epochs=min(recipe.epochs, epochs)) for name, recipe in RECIPES.items()}
    return {name: replace(recipe, full_epochs=min(recipe.full_epochs, 5)) for name, recipe in short.items()}


def on_cpu(dataset: ImageDataset, **options: Any) -> Session:
    """A session on one CPU core in float32, on any machine."""
    return Session(dataset, compute=CPU, **options)
