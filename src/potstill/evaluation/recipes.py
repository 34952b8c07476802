"""Recipes: frozen evaluation protocols, each with a name and a version.

The recipe changes accuracies by several points, so results of different recipes are never compared. To change a recipe,
raise its version. The summary is part of the recipe as it is recorded: after a change of its text results get a record
of their own, but no training is done again.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from potstill.runtime.errors import unknown
from potstill.schema.recipe import Recipe
from potstill.schema.shapes import is_vector

if TYPE_CHECKING:
    from potstill.synthetic import SyntheticSet


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        recipe.name: recipe
        for recipe in (
            Recipe(
                name="replay",
                summary="the steps that a set was distilled for, in their order (dd)",
                epochs=1,
                full_epochs=20,
                augmentation="none",
                replay=True,
            ),
            Recipe(
                name="quick",
                summary="a first look in seconds: 200 epochs with augmentation",
                epochs=200,
                full_epochs=20,
            ),
            Recipe(
                name="coursework-50",
                summary="that of the coursework with DataDAM: 50 epochs without augmentation",
                epochs=50,
                full_epochs=50,
                augmentation="none",
            ),
            Recipe(
                name="dc-300",
                summary="the DC paper's: 300 epochs without augmentation",
                epochs=300,
                full_epochs=50,
                augmentation="none",
            ),
            Recipe(
                name="dc-1000",
                summary="the DC paper's for digits: 1000 epochs with shifts, scales and turns",
                epochs=1000,
                full_epochs=50,
                augmentation="condensation",
            ),
            Recipe(
                name="dsa-1000",
                summary="the DSA and DM papers': 1000 epochs with Siamese augmentation",
                epochs=1000,
                full_epochs=50,
            ),
            Recipe(
                name="probe-1000",
                summary="for vectors: 1000 epochs as in dsa-1000, without augmentation",
                epochs=1000,
                full_epochs=50,
                augmentation="none",
            ),
            Recipe(
                name="datadam-1800",
                summary="the DataDAM program's: 1800 epochs with Siamese augmentation",
                epochs=1800,
                full_epochs=50,
            ),
            Recipe(
                name="trajectory-1000",
                summary="the MTT paper's: 1000 epochs with Siamese augmentation at the set's own learning rate",
                epochs=1000,
                full_epochs=50,
                learned_rate=True,
            ),
            Recipe(
                name="soft-label",
                summary="for learned labels, after DATM: as trajectory-1000, and the weights' average is tested",
                epochs=1000,
                full_epochs=50,
                learned_rate=True,
                ema_decay=0.995,
            ),
            Recipe(
                name="idc-1000",
                summary="the IDC paper's: 1000 epochs in batches of 64 with mirroring, colours, shifts and CutMix",
                epochs=1000,
                full_epochs=50,
                batch_size=64,
                decay="two-cuts",
                augmentation="strong",
                cutmix=True,
                cutmix_probability=0.5,
            ),
            Recipe(
                name="idc-1000-digits",
                summary="the IDC paper's for digits in formation: as idc-1000, without CutMix",
                epochs=1000,
                full_epochs=50,
                batch_size=64,
                decay="two-cuts",
                augmentation="strong",
            ),
            Recipe(
                name="ncfm-2000",
                summary="the NCFM program's: 2000 epochs of AdamW in batches of 128, augmented as in idc-1000",
                epochs=2000,
                full_epochs=50,
                batch_size=128,
                optimiser="adamw",
                learning_rate=1e-3,
                weight_decay=0.01,
                decay="halvings",
                augmentation="strong",
                cutmix=True,
                cutmix_probability=0.5,
            ),
            Recipe(
                name="modern",
                summary="what one would do today: 1000 epochs of AdamW, cosine, Siamese augmentation and CutMix",
                epochs=1000,
                full_epochs=50,
                optimiser="adamw",
                learning_rate=1e-3,
                weight_decay=0.01,
                decay="cosine",
                cutmix=True,
            ),
            Recipe(
                name="tuned-300",
                version=2,
                summary="for networks that others' schedules do not suit: 300 epochs of AdamW, cosine and Siamese "
                "augmentation, at the learning rate that the validation split chooses for each",
                epochs=300,
                full_epochs=50,
                optimiser="adamw",
                learning_rate=1e-3,
                learning_rate_grid=(1e-4, 3e-4, 1e-3, 3e-3, 1e-2),
                weight_decay=0.01,
                decay="cosine",
            ),
        )
    }
)


def default_recipe(synthetic: SyntheticSet) -> str:
    """The recipe for a set where none is given: the one that uses everything that was learned with the set."""
    if synthetic.replay is not None:
        return "replay"
    if synthetic.step_size is None:
        return plain_recipe(synthetic.shape)
    return "soft-label" if synthetic.has_soft_labels else "trajectory-1000"


def plain_recipe(shape: tuple[int, int, int]) -> str:
    """The recipe for images, or for vectors, of this shape with which nothing was learned."""
    return "probe-1000" if is_vector(shape) else "dsa-1000"


def find_recipe(name: str) -> Recipe:
    """The recipe called ``name``, with or without its version (``dsa-1000`` or ``dsa-1000@1``).

    Raises:
        UserError: no recipe has this name and version.
    """
    recipe = RECIPES.get(name.split("@")[0])
    if recipe is None or name not in (recipe.name, recipe.label):
        raise unknown("recipe", name, RECIPES, listing="potstill list recipes")
    return recipe
