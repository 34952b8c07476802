"""What a set is worth: frozen recipes, repeats, baselines and intervals. Independent of all methods."""

from potstill.evaluation.checks import check_fits, check_unchanged, normalised_alike
from potstill.evaluation.evaluate import BASELINES, evaluate, measure_full, validation_accuracy
from potstill.evaluation.file import EvaluationFile
from potstill.evaluation.recipes import RECIPES, default_recipe, find_recipe, training_schedule
from potstill.evaluation.session import FullTraining, Resources, Session
from potstill.evaluation.training import make_trainer
from potstill.schema.evaluation import Evaluation, NetworkResult
from potstill.schema.recipe import Recipe

__all__ = [
    "BASELINES",
    "RECIPES",
    "Evaluation",
    "EvaluationFile",
    "FullTraining",
    "NetworkResult",
    "Recipe",
    "Resources",
    "Session",
    "check_fits",
    "check_unchanged",
    "default_recipe",
    "evaluate",
    "find_recipe",
    "make_trainer",
    "measure_full",
    "normalised_alike",
    "training_schedule",
    "validation_accuracy",
]
