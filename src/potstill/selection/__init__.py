"""Selections: a few images of each class that are chosen, or made without distilling; starts, baselines and methods."""

from potstill.selection.choose import SELECTIONS, Selection, by_score
from potstill.selection.random import random_indices

__all__ = ["SELECTIONS", "Selection", "by_score", "random_indices"]
