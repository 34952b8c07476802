"""Selections: a few images of each class that are chosen, or made without distilling; starts, baselines and methods."""

from potstill.selection.random import random_indices
from potstill.selection.registry import SELECTIONS, Choice, Selection, by_score

__all__ = ["SELECTIONS", "Choice", "Selection", "by_score", "random_indices"]
