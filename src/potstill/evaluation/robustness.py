"""DD-Ranking's label and augmentation robust scores, which soft labels or a generous recipe alone cannot raise.

Li et al., "DD-Ranking: Rethinking the Evaluation of Dataset Distillation", 2025. All accuracies are fractions. Learning
rates are tuned on the validation split, for the set and for random images alike, and every repeat has its own seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from potstill.data import ImageDataset
from potstill.engine.trainer import Trainer
from potstill.evaluation.checks import check_images, check_trainings, check_validation
from potstill.evaluation.procedures import images_in_training, random_set
from potstill.evaluation.recipes import find_recipe
from potstill.evaluation.schedules import training_schedule
from potstill.evaluation.series import TrainingSeries, TrainingSpec, measure
from potstill.evaluation.session import Session
from potstill.evaluation.specs import trained_on_full, training_on
from potstill.evaluation.training import RANDOM, TrainAndTest, make_trainer
from potstill.runtime.bounds import check_least
from potstill.runtime.errors import UserError
from potstill.runtime.lock import locked
from potstill.runtime.machine import machine_in_words
from potstill.runtime.streams import Streams
from potstill.schema.evaluation import NetworkResult, real_images_per_class
from potstill.schema.recipe import Recipe
from potstill.schema.robustness import Robustness
from potstill.synthetic import SyntheticSet
from potstill.units import Runner, UnitLog, Workplace

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
    record: str | Path | None = None,
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
        record: a ``robustness.json`` to write in the end. Trainings are recorded beside it as they end, and are not
            done again.

    Returns:
        The scores, each in [0, 1], and the accuracies that they are computed from.

    Raises:
        UserError: the set does not fit the dataset, the dataset has no validation images, the recipe uses no
            augmentation, a training failed, or the record is being written by another process.
    """
    session = Session.of(data)
    dataset = session.dataset
    recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
    check_images(dataset, "robust scores are")
    if recipe.replay or recipe.augmentation == "none":
        lacks = "replays learned steps" if recipe.replay else "has no augmentation"
        raise UserError(
            f"{recipe.name} {lacks}, but robust scores compare training with and without augmentation",
            "use `recipe=dsa-1000`",
        )
    check_trainings(synthetic, dataset, recipe, [network], repeats)
    check_least("full_epochs", full_epochs, 1)
    check_validation(dataset, "tune learning rates on")
    path, epochs = None if record is None else Path(record), full_epochs or recipe.full_epochs
    compute, longest = session.settled(), epochs * len(dataset.train)
    trainings = 4 * (repeats + len(RATES)) * images_in_training(recipe, len(synthetic), synthetic.pictures)
    with (
        locked(path) if path is not None else nullcontext(),
        session.runner(compute, UnitLog.beside(path), images=trainings + longest, longest=longest) as runner,
    ):
        on_full = training_on(dataset, runner.workplace, recipe, session.seed)
        specs = _specs(runner.workplace, replace(on_full, stream=("robustness",)), synthetic, network, repeats, epochs)
        full = _measured(runner, network, [trained_on_full(on_full, runner.workplace, epochs, 1)])["full"].mean
        results = _measured(runner, network, specs)
        found = Robustness(
            set_sha256=synthetic.fingerprint(),
            dataset_fingerprint=dataset.fingerprint,
            seed=session.seed,
            made_on=f"{compute}; {machine_in_words()}",
            track="soft" if synthetic.has_soft_labels else "hard",
            recipe=recipe.label,
            network=network,
            full_epochs=epochs,
            full=full,
            accuracies={kind: result.accuracies for kind, result in results.items()},
            rates={kind: _tuned_rate(result) for kind, result in results.items()},
        )
        if path is not None:
            found.write(path)
    return found


def _specs(
    workplace: Workplace, base: TrainAndTest, synthetic: SyntheticSet, network: str, repeats: int, full_epochs: int
) -> list[TrainingSpec]:
    """The trainings behind the scores: set and random images, with augmentation and without.

    Args:
        workplace: takes the sets.
        base: dataset, recipe and randomness.
        synthetic: the set.
        network: the network that labels random images if the set has soft labels.
        repeats: trainings on each kind of images.
        full_epochs: passes over the full data in the training of that network.
    """
    tuned = replace(base.recipe, learned_rate=False, learning_rate_grid=RATES)
    plain = replace(tuned, augmentation="none", cutmix=False)
    soft = synthetic.has_soft_labels

    def spec(name: str, by: Recipe, of: SyntheticSet | None) -> TrainingSpec:
        # A training that diverges counts: its network is as good as chance.
        each = replace(base, recipe=by, diverging="counts")
        choose = None
        if of is not None:
            each = replace(each, images=workplace.materials.add(of))
        elif soft:
            choose = partial(labelled, each)
        else:
            of_class = real_images_per_class(len(synthetic), synthetic.class_count)
            each = replace(each, images=RANDOM, images_per_class=of_class)
        return TrainingSpec(trained_on=name, repeats=repeats, each=each, learning_rate_grid=RATES, choose=choose)

    @cache
    def labeller() -> Trainer:
        """A network that was trained on the full data."""
        dataset = workplace.dataset(base.dataset)
        teacher = make_trainer(network, dataset, workplace.compute)
        schedule = training_schedule(base.recipe, flips=dataset.flips, full=True, epochs=full_epochs)
        teacher.fit(dataset.train, schedule, Streams(base.seed, base.stream).child("teacher"))
        return teacher

    def labelled(each: TrainAndTest, stream: tuple[str | int, ...]) -> str:
        """As many random real images, drawn for each repeat, with probabilities as their labels."""
        train = workplace.dataset(each.dataset).train
        of_class = real_images_per_class(len(synthetic), synthetic.class_count)
        drawn = random_set(train, of_class, Streams(each.seed, stream))
        return workplace.materials.add(replace(drawn, labels=labeller().probabilities(drawn.images)))

    specs = [
        spec(f"{what} {how}", by, of)
        for how, by in (("augmented", tuned), ("plain", plain))
        for what, of in (("synthetic", synthetic), ("random", None))
    ]
    if soft:
        specs.append(spec("synthetic hard", tuned, replace(synthetic, labels=synthetic.hard_labels)))
    return specs


def _measured(runner: Runner, network: str, specs: Sequence[TrainingSpec]) -> dict[str, NetworkResult]:
    """The results by what was trained on."""
    wanted = [TrainingSeries(network, spec) for spec in specs]
    for series in measure(runner, wanted):
        if series.result.failed is not None:
            raise UserError(f"{series.spec.trained_on}: {series.result.failed}", "use another network or recipe")
    return {series.spec.trained_on: series.result for series in wanted}


def _tuned_rate(result: NetworkResult) -> float:
    """The learning rate that was tuned for a result.

    Raises:
        ValueError: no learning rate was tuned.
    """
    if result.learning_rate is None:
        raise ValueError("no learning rate was tuned")
    return result.learning_rate
