"""DD-Ranking's label and augmentation robust scores, which soft labels or a generous recipe alone cannot raise.

Li et al., "DD-Ranking: Rethinking the Evaluation of Dataset Distillation", 2025. All accuracies are fractions. Learning
rates are tuned on the validation split, for the set and for random images alike, and every repeat has its own seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from torch import Tensor

from potstill.data import ImageDataset
from potstill.engine.trainer import Trainer
from potstill.evaluation.checks import check_fits, check_repeats, check_validation
from potstill.evaluation.measure import measure_full
from potstill.evaluation.recipes import find_recipe
from potstill.evaluation.schedules import training_schedule
from potstill.evaluation.session import FullTraining, Session
from potstill.evaluation.specs import epochs_of_equal_steps, random_images
from potstill.evaluation.training import AfterEpoch, Repeat, Trainings, TrainingSpec, make_trainer
from potstill.runtime.bounds import check_least
from potstill.runtime.errors import UserError
from potstill.runtime.machine import machine_in_words
from potstill.runtime.parallel import cpu_workers
from potstill.schema.evaluation import NetworkResult, real_images_per_class
from potstill.schema.recipe import Recipe
from potstill.schema.robustness import Robustness
from potstill.synthetic import SyntheticSet

RATES = (0.001, 0.005, 0.01, 0.05, 0.1)
"""The grid of learning rates, which is DD-Ranking's."""


def measure_robustness(
    synthetic: SyntheticSet,
    data: ImageDataset | Session,
    *,
    recipe: str | Recipe = "dsa-1000",
    network: str = "convnet",
    repeats: int = 5,
    full_epochs: int | None = None,
) -> Robustness:
    """Measure the label robust score (LRS) and the augmentation robust score (ARS) of a set.

    The recipe is used with its augmentation and without any. Its learning rate is tuned over ``RATES`` on the
    validation split, for the set and for random images alike. If the set has soft labels, the random images are
    labelled by a network trained on the full data.

    Args:
        synthetic: the set.
        data: the dataset that it was made from, or a session that also sets seed, device and progress.
        recipe: a name in ``RECIPES``, or a recipe of your own; it must use augmentation.
        network: the spec of the network.
        repeats: trainings on each kind of images.
        full_epochs: passes over the full data; None uses the recipe's number.

    Returns:
        The scores, each in [0, 1], and the accuracies that they are computed from.

    Raises:
        UserError: the set does not fit the dataset, the dataset has no validation images, the recipe uses no
            augmentation, or a training failed.
    """
    session = Session.of(data)
    dataset = session.dataset
    recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
    check_fits(synthetic, dataset)
    if recipe.replay or recipe.augmentation == "none":
        lacks = "replays learned steps" if recipe.replay else "has no augmentation"
        raise UserError(
            f"{recipe.name} {lacks}, but robust scores compare training with and without augmentation",
            "use `recipe=dsa-1000`",
        )
    check_repeats(repeats)
    check_least("full_epochs", full_epochs, 1)
    check_validation(dataset, "tune learning rates on")
    session = replace(session, compute=session.settled(), initial="random")
    full = measure_full(session, network, recipe=recipe, full=FullTraining(epochs=full_epochs)).mean
    trainings = session.trainings(session.settled(), "robustness")
    with cpu_workers(trainings.compute.device):
        label = _labeller(trainings, network, recipe, full_epochs) if synthetic.has_soft_labels else None
        results = {
            kind: _measured(trainings, network, spec)
            for kind, spec in _specs(trainings, synthetic, recipe, repeats, label).items()
        }
    return Robustness(
        set_sha256=synthetic.fingerprint(),
        dataset_fingerprint=dataset.fingerprint,
        seed=session.seed,
        made_on=f"{trainings.compute}; {machine_in_words()}",
        track="soft" if synthetic.has_soft_labels else "hard",
        recipe=recipe.label,
        network=network,
        full_epochs=full_epochs or recipe.full_epochs,
        full=full,
        accuracies={kind: result.accuracies for kind, result in results.items()},
        rates={kind: _tuned_rate(result) for kind, result in results.items()},
    )


Labeller = Callable[[Tensor], Tensor]
"""Maps images (n, C, H, W) to probabilities float32 (n, classes)."""


def _specs(
    trainings: Trainings, synthetic: SyntheticSet, recipe: Recipe, repeats: int, label: Labeller | None
) -> dict[str, TrainingSpec]:
    """The trainings behind the scores, by name: set and random images, with augmentation and without."""
    tuned = replace(recipe, learned_rate=False, learning_rate_grid=RATES)
    plain = replace(tuned, augmentation="none", cutmix=False)
    pictures = synthetic.decoded()
    hard = replace(pictures, labels=pictures.hard_labels)

    def equal_steps(by: Recipe) -> Recipe:
        return replace(by, epochs=epochs_of_equal_steps(by, len(synthetic), len(pictures)))

    specs: dict[str, TrainingSpec] = {}
    for how, by in (("augmented", tuned), ("plain", plain)):
        specs[f"synthetic {how}"] = _drawn(lambda _: pictures, trainings, equal_steps(by), repeats)
        specs[f"random {how}"] = _drawn(partial(_random, trainings, synthetic, label), trainings, by, repeats)
    if synthetic.has_soft_labels:
        specs["synthetic hard"] = _drawn(lambda _: hard, trainings, equal_steps(tuned), repeats)
    return {name: replace(spec, trained_on=name) for name, spec in specs.items()}


def _drawn(draw: Callable[[Repeat], SyntheticSet], trainings: Trainings, recipe: Recipe, repeats: int) -> TrainingSpec:
    """Trainings on what is drawn for each repeat."""
    schedule = training_schedule(recipe, flips=trainings.dataset.flips)

    def train(trainer: Trainer, repeat: Repeat, _: AfterEpoch, learning_rate: float | None) -> None:
        chosen = schedule if learning_rate is None else replace(schedule, learning_rate=learning_rate)
        # A training that diverges counts: its network is as good as chance.
        trainer.fit(draw(repeat), chosen, repeat.streams)

    return TrainingSpec(
        trained_on="",
        epochs=schedule.epochs,
        repeats=repeats,
        train=train,
        learning_rate_grid=recipe.learning_rate_grid,
    )


def _random(trainings: Trainings, synthetic: SyntheticSet, label: Labeller | None, repeat: Repeat) -> SyntheticSet:
    """As many random real images of each class, drawn for each repeat, with the same kind of labels."""
    images_per_class = real_images_per_class(len(synthetic), synthetic.class_count)
    images, labels = random_images(trainings.dataset.train, images_per_class, repeat.streams)
    return replace(synthetic, images=images, labels=labels if label is None else label(images), formation=1)


def _labeller(trainings: Trainings, network: str, recipe: Recipe, epochs: int | None) -> Labeller:
    """Labels by a network that was trained on the full data."""
    dataset = trainings.dataset
    teacher = make_trainer(network, dataset, trainings.compute)
    schedule = training_schedule(recipe, flips=dataset.flips, full=True, epochs=epochs)
    teacher.fit(dataset.train, schedule, trainings.streams.child("teacher"))
    return teacher.probabilities


def _measured(trainings: Trainings, network: str, spec: TrainingSpec) -> NetworkResult:
    *_, result = trainings.measure(network, spec)
    if result.failed is not None:
        raise UserError(f"{spec.trained_on}: {result.failed}", "use another network or recipe")
    return result


def _tuned_rate(result: NetworkResult) -> float:
    """The learning rate that was tuned for a result.

    Raises:
        ValueError: no learning rate was tuned.
    """
    if result.learning_rate is None:
        raise ValueError("no learning rate was tuned")
    return result.learning_rate
