"""What a set is worth: frozen recipes, repeats, baselines and intervals. Independent of all methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import on_first_use

if TYPE_CHECKING:
    from potstill.evaluation.attack_curves import measure_attacks as measure_attacks
    from potstill.evaluation.checks import check_exchangeable as check_exchangeable
    from potstill.evaluation.checks import check_fits as check_fits
    from potstill.evaluation.checks import check_images as check_images
    from potstill.evaluation.checks import check_learned_rate as check_learned_rate
    from potstill.evaluation.checks import check_unchanged as check_unchanged
    from potstill.evaluation.checks import is_normalised_like as is_normalised_like
    from potstill.evaluation.checks import may_be_from as may_be_from
    from potstill.evaluation.checks import normalised_alike as normalised_alike
    from potstill.evaluation.exchanging import exchange as exchange
    from potstill.evaluation.file import EvaluationFile as EvaluationFile
    from potstill.evaluation.label_regimes import measure_label_regimes as measure_label_regimes
    from potstill.evaluation.measure import BASELINES as BASELINES
    from potstill.evaluation.measure import default_baselines as default_baselines
    from potstill.evaluation.measure import evaluate as evaluate
    from potstill.evaluation.measure import measure_full as measure_full
    from potstill.evaluation.measure import validation_accuracy as validation_accuracy
    from potstill.evaluation.recipes import RECIPES as RECIPES
    from potstill.evaluation.recipes import default_recipe as default_recipe
    from potstill.evaluation.recipes import find_recipe as find_recipe
    from potstill.evaluation.recipes import plain_recipe as plain_recipe
    from potstill.evaluation.robustness import measure_robustness as measure_robustness
    from potstill.evaluation.schedules import training_schedule as training_schedule
    from potstill.evaluation.session import FullTraining as FullTraining
    from potstill.evaluation.session import Resources as Resources
    from potstill.evaluation.session import Session as Session
    from potstill.evaluation.target import Target as Target
    from potstill.evaluation.training import make_trainer as make_trainer
    from potstill.schema.attacks import AttackCurves as AttackCurves
    from potstill.schema.evaluation import Evaluation as Evaluation
    from potstill.schema.evaluation import NetworkResult as NetworkResult
    from potstill.schema.evaluation import real_images_per_class as real_images_per_class
    from potstill.schema.exchange import Exchange as Exchange
    from potstill.schema.label_regimes import LabelRegimes as LabelRegimes
    from potstill.schema.recipe import Recipe as Recipe
    from potstill.schema.robustness import Robustness as Robustness
else:
    __getattr__, __dir__, __all__ = on_first_use(__name__)
