"""Selections: a few images per class, chosen or constructed without distillation; for starts, baselines and methods."""

from potstill.selection.random import random_indices
from potstill.selection.registry import SELECTIONS, Choice, Selection, by_score

__all__ = ["SELECTIONS", "Choice", "Selection", "by_score", "random_indices"]
