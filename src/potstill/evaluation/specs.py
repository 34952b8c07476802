"""What an evaluation trains networks on: the set, real images in its place, the full data, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import torch

from potstill.data import ImageDataset
from potstill.evaluation.procedures import images_in_training, on_set
from potstill.evaluation.series import TrainingSpec
from potstill.evaluation.training import EARLY, FULL, NONE, RANDOM, TrainAndTest
from potstill.experts.feature_source import Training
from potstill.networks import RANDOM_WEIGHTS, InitialWeights, default_network
from potstill.runtime.streams import Streams
from potstill.schema.evaluation import real_images_per_class
from potstill.schema.recipe import Recipe
from potstill.selection import SELECTIONS
from potstill.synthetic import SyntheticSet
from potstill.units import Workplace


def training_on(
    dataset: ImageDataset,
    workplace: Workplace,
    recipe: Recipe,
    seed: int,
    weights: InitialWeights = RANDOM_WEIGHTS,
    purpose: str = "evaluation",
) -> TrainAndTest:
    """What all trainings of an evaluation have in common.

    Args:
        dataset: the dataset.
        workplace: takes the dataset.
        recipe: how networks are trained.
        seed: seed of all random draws, which depend on nothing but it, the purpose and the repeat.
        weights: the initial weights of the networks.
        purpose: the name of the stream of the draws.
    """
    key = workplace.materials.add(dataset)
    return TrainAndTest(
        dataset=key, images=NONE, recipe=recipe.unworded, initial=weights.to_json(), seed=seed, stream=(purpose,)
    )


def trained_on_set(base: TrainAndTest, workplace: Workplace, synthetic: SyntheticSet, repeats: int) -> TrainingSpec:
    """Trainings on a set.

    Args:
        base: dataset, recipe, initial weights and randomness.
        workplace: takes the set.
        synthetic: the set.
        repeats: the number of trainings; fewer are done if repeats would all be identical.
    """
    images = workplace.materials.add(synthetic)
    return TrainingSpec(
        trained_on="set",
        repeats=_different(base, workplace, synthetic, repeats),
        each=replace(base, images=images),
        learning_rate_grid=base.recipe.learning_rate_grid,
        weight=images_in_training(base.recipe, len(synthetic), synthetic.pictures),
    )


def trained_on_real(
    name: str, base: TrainAndTest, workplace: Workplace, synthetic: SyntheticSet, repeats: int
) -> TrainingSpec:
    """Trainings on as many real images of each class as a set has, with everything else as on the set.

    Args:
        name: the selection that chooses them, a name in ``SELECTIONS``. ``random`` draws new images for every repeat,
            any other selection chooses once.
        base: dataset, recipe, initial weights and randomness.
        workplace: takes the chosen images.
        synthetic: the set whose images they replace.
        repeats: the number of trainings; fewer are done if repeats would all be identical.
    """
    images_per_class = real_images_per_class(len(synthetic), synthetic.class_count)
    if name == RANDOM:
        return trained_on_random(images_per_class, base, workplace, synthetic, repeats)
    return TrainingSpec(
        trained_on=name,
        repeats=_different(base, workplace, replace(synthetic, formation=1), repeats),
        each=base,
        learning_rate_grid=base.recipe.learning_rate_grid,
        choose=_selected(name, base, workplace, synthetic, images_per_class),
        weight=base.recipe.epochs * images_per_class * synthetic.class_count,
    )


def trained_on_random(
    images_per_class: int, base: TrainAndTest, workplace: Workplace, synthetic: SyntheticSet, repeats: int
) -> TrainingSpec:
    """Trainings on random real images, new ones for each, with everything else as on a set.

    Args:
        images_per_class: their number.
        base: dataset, recipe, initial weights and randomness.
        workplace: takes the set, if the recipe uses what was learned with its images.
        synthetic: the set.
        repeats: the number of trainings. All differ, even if the initial weights do not.
    """
    like = workplace.materials.add(synthetic) if _takes_more_than_images(base, synthetic) else ""
    return TrainingSpec(
        trained_on=RANDOM,
        repeats=repeats,
        each=replace(base, images=RANDOM, images_per_class=images_per_class, like=like),
        learning_rate_grid=base.recipe.learning_rate_grid,
        weight=base.recipe.epochs * images_per_class * synthetic.class_count,
    )


def stopped_early(base: TrainAndTest, workplace: Workplace, synthetic: SyntheticSet, repeats: int) -> TrainingSpec:
    """Trainings on the full data that are stopped after as many steps as a training on a set takes.

    Args:
        base: dataset, recipe, initial weights and randomness.
        workplace: takes the set.
        synthetic: the set.
        repeats: the number of trainings.
    """
    return TrainingSpec(
        trained_on="early stopping",
        repeats=repeats,
        each=replace(base, images=EARLY, like=workplace.materials.add(synthetic)),
        weight=images_in_training(base.recipe, len(synthetic), synthetic.pictures),
    )


def trained_on_full(base: TrainAndTest, workplace: Workplace, epochs: int, repeats: int) -> TrainingSpec:
    """Trainings on the full training data.

    Args:
        base: dataset, recipe, initial weights and randomness.
        workplace: has the dataset.
        epochs: passes over the data.
        repeats: the number of trainings.
    """
    each = replace(base, images=FULL, epochs=epochs)
    weight = epochs * len(workplace.materials.dataset(base.dataset).train)
    return TrainingSpec(trained_on=FULL, repeats=repeats, each=each, weight=weight)


def untrained(base: TrainAndTest, workplace: Workplace, repeats: int) -> TrainingSpec:
    """No training at all: networks are tested with their initial weights.

    Args:
        base: dataset, recipe, initial weights and randomness.
        workplace: where the units are done.
        repeats: the number of networks; fewer if they would all be identical.
    """
    different = base.weights(workplace).different(repeats)
    return TrainingSpec(trained_on="initial", repeats=different, each=replace(base, images=NONE))


def _takes_more_than_images(base: TrainAndTest, synthetic: SyntheticSet) -> bool:
    """Whether the recipe uses what was learned with the images of a set."""
    return base.recipe.replay or (base.recipe.learned_rate and synthetic.step_size is not None)


def _different(base: TrainAndTest, workplace: Workplace, synthetic: SyntheticSet, repeats: int) -> int:
    """The number of repeats on a set that differ: sometimes nothing is random but the initial weights."""
    weights = base.weights(workplace)
    procedure = on_set(synthetic, base.recipe, weights, workplace.materials.dataset(base.dataset).flips)
    return repeats if procedure.varies else weights.different(repeats)


def selected(
    name: str, base: TrainAndTest, workplace: Workplace, synthetic: SyntheticSet, images_per_class: int
) -> SyntheticSet:
    """The set of the images that a selection chooses in the place of a set's own.

    Args:
        name: a name in ``SELECTIONS``.
        base: dataset and randomness.
        workplace: provides the dataset and the device.
        synthetic: the set whose images they replace; all else that was learned with it is kept.
        images_per_class: the number of images of each class.

    Raises:
        UserError: a class has too few images.
    """
    dataset, streams, selection = workplace.dataset(base.dataset), Streams(base.seed, base.stream), SELECTIONS[name]
    workplace.progress(f"selecting images by {name}")
    training = Training(
        real=dataset.train,
        network=default_network(dataset.shape),
        streams=streams.child("teacher"),
        compute=workplace.compute,
        flips=dataset.flips,
        progress=workplace.progress,
    )
    source = selection.source(training)
    images = selection.images(source, images_per_class, streams.child("selection", name))
    labels = torch.arange(dataset.class_count).repeat_interleave(images_per_class)
    return replace(synthetic, images=images, labels=labels, formation=1)


def _selected(
    name: str, base: TrainAndTest, workplace: Workplace, synthetic: SyntheticSet, images_per_class: int
) -> Callable[[tuple[str | int, ...]], str]:
    """Returns the set of the images that a selection chooses, which is made when it is first needed."""

    @cache
    def chosen() -> str:
        return workplace.materials.add(selected(name, base, workplace, synthetic, images_per_class))

    return lambda _stream: chosen()
