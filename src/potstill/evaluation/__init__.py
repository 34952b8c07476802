"""What a set is worth: frozen recipes, repeats, baselines, intervals. Knows nothing of methods."""

from potstill.evaluation.file import EvaluationFile
from potstill.evaluation.measure import (
    check_fits,
    check_unchanged,
    evaluate,
    measure_full,
    normalised_alike,
    settled_for,
    validation_accuracy,
)
from potstill.evaluation.recipes import RECIPES, Recipe, default_recipe, find_recipe
from potstill.evaluation.results import Evaluation, NetworkResult
from potstill.evaluation.session import make_trainer

__all__ = [
    "RECIPES",
    "Evaluation",
    "EvaluationFile",
    "NetworkResult",
    "Recipe",
    "check_fits",
    "check_unchanged",
    "default_recipe",
    "evaluate",
    "find_recipe",
    "make_trainer",
    "measure_full",
    "normalised_alike",
    "settled_for",
    "validation_accuracy",
]
