"""From a recipe to the schedule of one training, with the augmentation that suits the dataset."""

from __future__ import annotations

from potstill.augmentation import condensation_augmentation, siamese_augmentation, strong_augmentation
from potstill.engine.schedule import Schedule
from potstill.networks import RANDOM_WEIGHTS, InitialWeights
from potstill.schema.recipe import Recipe


def training_schedule(
    recipe: Recipe,
    *,
    flips: bool,
    full: bool = False,
    epochs: int | None = None,
    initial: InitialWeights = RANDOM_WEIGHTS,
    step_size: float | None = None,
) -> Schedule:
    """The schedule of one training by a recipe.

    Args:
        recipe: the protocol.
        flips: whether mirrored images keep their class in this dataset.
        full: train on the full data rather than on a small set.
        epochs: passes over the data, instead of the recipe's number.
        initial: the initial weights of the networks.
        step_size: the learning rate that was learned with the set, if any; recipes with ``learned_rate`` use it.

    Returns:
        The schedule, with the augmentation that suits the dataset.
    """
    augmentation = {
        "none": None,
        "siamese": siamese_augmentation(flips=flips),
        "condensation": condensation_augmentation(),
        "strong": strong_augmentation(flips=flips),
    }[recipe.augmentation]
    return Schedule(
        epochs=epochs or (recipe.full_epochs if full else recipe.epochs),
        batch_size=recipe.batch_size,
        optimiser=recipe.optimiser,
        learning_rate=step_size if recipe.learned_rate and step_size is not None else recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        decay=recipe.decay,
        augmentation=augmentation,
        one_operation=recipe.augmentation != "condensation",
        cutmix=recipe.cutmix,
        cutmix_probability=recipe.cutmix_probability,
        ema_decay=recipe.ema_decay,
        initial=initial,
    )
