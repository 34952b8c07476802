"""The training protocol of an evaluation in words."""

from __future__ import annotations

from collections.abc import Iterable

from potstill.report.wording import count
from potstill.schema.recipe import Recipe

OPTIMISERS = {"sgd": "SGD", "adamw": "AdamW"}
DECAYS = {
    "none": "constant",
    "cut": "cut to a tenth just after the middle",
    "cosine": "decaying to zero along half a cosine",
}
AUGMENTATIONS = {
    "none": "no augmentation",
    "siamese": "Siamese augmentation",
    "condensation": "shifted, scaled and rotated images",
}


def recipe_title(recipe: Recipe) -> str:
    """Name and version."""
    return f"{recipe.name}, version {recipe.version}"


def protocol(recipe: Recipe, full_epochs: Iterable[int]) -> list[tuple[str, str]]:
    """The steps of the protocol, for a table of settings.

    Args:
        recipe: the recipe by which the networks were trained.
        full_epochs: the different numbers of passes over the full data, if networks were trained on it.

    Returns:
        The name of each step and a description of it.
    """
    passes = " or ".join(count(epochs) for epochs in sorted(set(full_epochs)))
    rate = f"learning rate {recipe.learning_rate:g}"
    on_set = f"{count(recipe.epochs)} epochs of {_schedule(recipe, _rate(recipe))}"
    if recipe.replay:
        on_set = "the steps that the set was distilled for, in their order, each at its learned rate"
    rows = [("recipe", recipe_title(recipe)), ("training on the set", on_set)]
    if passes:
        rows.append(("training on the full data", f"{passes} epochs of {_schedule(recipe, rate)}"))
    return rows


def _rate(recipe: Recipe) -> str:
    """The learning rate of trainings on a set, in words."""
    if recipe.learning_rate_grid:
        rates = ", ".join(f"{rate:g}" for rate in recipe.learning_rate_grid)
        return f"the learning rate among {rates} with the highest validation accuracy"
    if recipe.learned_rate:
        return f"the set's own learning rate, or {recipe.learning_rate:g} if it has none"
    return f"learning rate {recipe.learning_rate:g}"


def _schedule(recipe: Recipe, rate: str) -> str:
    """Everything but the number of epochs; whatever is switched off is left out."""
    momentum = f"momentum {recipe.momentum:g}" if recipe.optimiser == "sgd" and recipe.momentum else ""
    parts = (
        f"{OPTIMISERS[recipe.optimiser]} in batches of {count(recipe.batch_size)}",
        f"{rate}, {DECAYS[recipe.decay]}",
        momentum,
        f"weight decay {recipe.weight_decay:g}" if recipe.weight_decay else "",
        AUGMENTATIONS[recipe.augmentation] + (" and CutMix" if recipe.cutmix else ""),
        f"tested with an exponential average of the weights (decay {recipe.ema_decay:g})" if recipe.ema_decay else "",
    )
    return "; ".join(part for part in parts if part)
