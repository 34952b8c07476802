"""The training protocol of an evaluation in words: what was done, as the results record it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from potstill.report.wording import count, percent
from potstill.schema.recipe import Recipe

OPTIMISERS = {"sgd": "SGD", "adamw": "AdamW"}
DECAYS = {
    "none": "constant",
    "cut": "cut to a tenth just after the middle",
    "two-cuts": "cut to a fifth after two thirds and again after five sixths",
    "halvings": "cut to half after each fifth",
    "cosine": "decaying to zero along half a cosine",
}
AUGMENTATIONS = {
    "none": "no augmentation",
    "siamese": "Siamese augmentation",
    "condensation": "shifted, scaled and rotated images",
    "strong": "mirroring and colours, and a shift, a scale or a rotation",
}


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What networks were trained on, and how often they saw it.

    Attributes:
        epochs: the different numbers of passes over the images, as the results record them.
        images: the number of images; None if it differs between sets.
        step_sizes: the different learning rates that were learned with the sets, None for a set without one; empty if
            they are not known.
    """

    epochs: Collection[int]
    images: int | None = None
    step_sizes: Collection[float | None] = ()


def recipe_title(recipe: Recipe) -> str:
    """Name and version."""
    return f"{recipe.name}, version {recipe.version}"


def training_of(recipe: Recipe, kind: str) -> str:
    """The recipe in one line, and what of it does not apply.

    Args:
        recipe: the recipe by which networks were trained.
        kind: what the data are: ``image``, or ``vector``, which is not augmented, whatever the recipe.
    """
    augmented = recipe.augmentation != "none" or recipe.cutmix
    return f"{recipe.summary}; vectors are not augmented" if augmented and kind == "vector" else recipe.summary


def protocol(recipe: Recipe, on_set: Trained, on_full: Trained, *, kind: str = "image") -> list[tuple[str, str]]:
    """The steps of the protocol, for a table of settings.

    The numbers of epochs are those of the results, which may differ from the recipe's.

    Args:
        recipe: the recipe by which the networks were trained.
        on_set: the trainings on the set, or on several sets.
        on_full: the trainings on the full data; without any epochs they are not mentioned.
        kind: what the data are: ``image``, or ``vector``, which is not augmented, whatever the recipe.

    Returns:
        The name of each step and a description of it.
    """
    recipe = recipe if kind == "image" else replace(recipe, augmentation="none", cutmix=False)
    rows = [("recipe", recipe_title(recipe))]
    if on_set.epochs and recipe.replay:
        steps = "the steps that the set was distilled for, in their order, each at its learned rate"
        rows.append(("training on the set", f"{_numbers(on_set.epochs, 'pass', 'es')} over the set: {steps}"))
    elif on_set.epochs:
        rows.append(("training on the set", _schedule(recipe, on_set, _rate(recipe, set(on_set.step_sizes)), kind)))
    if on_full.epochs:
        rate = f"learning rate {recipe.learning_rate:g}"
        rows.append(("training on the full data", _schedule(recipe, on_full, rate, kind)))
    return rows


def _numbers(numbers: Iterable[int], unit: str, plural: str = "s") -> str:
    """Different numbers with their unit: ``5 or 50 epochs``."""
    different = sorted(set(numbers))
    return " or ".join(map(count, different)) + f" {unit}" + ("" if different == [1] else plural)


def _rate(recipe: Recipe, step_sizes: set[float | None]) -> str:
    """The learning rate of trainings on a set, in words."""
    if recipe.learning_rate_grid:
        rates = ", ".join(f"{rate:g}" for rate in recipe.learning_rate_grid)
        return f"the learning rate among {rates} with the highest validation accuracy"
    if not recipe.learned_rate or step_sizes == {None}:
        return f"learning rate {recipe.learning_rate:g}"
    own = [rate for rate in step_sizes if rate is not None]
    if len(own) == len(step_sizes) == 1:
        return f"the set's own learning rate {own[0]:.4g}"
    return f"the set's own learning rate, or {recipe.learning_rate:g} if it has none"


def _schedule(recipe: Recipe, trained: Trained, rate: str, kind: str) -> str:
    """Epochs, optimiser and augmentation; whatever is switched off is left out."""
    momentum = f"momentum {recipe.momentum:g}" if recipe.optimiser == "sgd" and recipe.momentum else ""
    whole = trained.images is not None and trained.images <= recipe.batch_size
    batches = f"steps on all {kind}s at once" if whole else f"batches of {count(recipe.batch_size)}"
    parts = (
        f"{_numbers(trained.epochs, 'epoch')} of {OPTIMISERS[recipe.optimiser]} in {batches}",
        f"{rate}, {DECAYS[recipe.decay]}",
        momentum,
        f"weight decay {recipe.weight_decay:g}" if recipe.weight_decay else "",
        AUGMENTATIONS[recipe.augmentation] + _cutmix(recipe),
        f"tested with an exponential average of the weights (decay {recipe.ema_decay:g})" if recipe.ema_decay else "",
    )
    return "; ".join(part for part in parts if part)


def _cutmix(recipe: Recipe) -> str:
    if not recipe.cutmix:
        return ""
    return " and CutMix" + ("" if recipe.cutmix_probability == 1 else f" of {percent(recipe.cutmix_probability, 0)}")


def measured_on(machines: Iterable[str]) -> list[tuple[str, str]]:
    """The machines, precisions and versions of all results, for a table of settings."""
    return [("measured on" if place == 0 else "and on", machine) for place, machine in enumerate(machines)]
