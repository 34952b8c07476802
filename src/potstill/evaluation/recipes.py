"""Recipes: frozen protocols by which a set is judged, each with a name and a version.

A recipe moves accuracies by several points, so a figure without its recipe says little: results of different recipes
are never compared. To change a recipe, add a new version and leave the old one as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from potstill.augmentation import siamese_augmentation
from potstill.networks import RANDOM_WEIGHTS, InitialWeights
from potstill.runtime.errors import unknown
from potstill.synthetic import SyntheticSet
from potstill.training.fit import Schedule


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A protocol: how networks are trained on a set before they are tested.

    Attributes:
        name: how it is asked for.
        version: changes whenever a result could.
        summary: one line for people.
        epochs: passes over the synthetic set or the random images.
        full_epochs: passes over the full data, which has hundreds of times the images.
        batch_size: images a step.
        learning_rate: of SGD; multiplied by 0.1 once, halfway.
        momentum: of SGD; forgotten at the cut, as in the published programs.
        weight_decay: of SGD.
        augment: whether Siamese augmentation is on, one operation a batch, parameters a sample.
        replay: instead of all that, take the steps that the set was distilled for, in their order, each with its
            learned rate and from the initial weights that they are for.
    """

    name: str
    version: int = 1
    summary: str
    epochs: int
    full_epochs: int
    batch_size: int = 256
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    augment: bool = True
    replay: bool = False

    @property
    def label(self) -> str:
        """Name and version, such as ``dsa-1000@1``."""
        return f"{self.name}@{self.version}"

    def schedule(
        self,
        *,
        flips: bool,
        full: bool = False,
        epochs: int | None = None,
        initial: InitialWeights = RANDOM_WEIGHTS,
    ) -> Schedule:
        """The schedule of one training.

        Args:
            flips: whether mirrored images keep their class in this dataset.
            full: train on the full data rather than on a small set.
            epochs: in place of the recipe's own.
            initial: what networks begin with.
        """
        epochs = epochs or (self.full_epochs if full else self.epochs)
        return Schedule(
            epochs=epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            cut_epoch=epochs // 2 + 1,
            augmentation=siamese_augmentation(flips=flips) if self.augment else None,
            initial=initial,
        )


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        recipe.name: recipe
        for recipe in (
            Recipe(
                name="replay",
                summary="the steps that a set was distilled for, in their order (dd)",
                epochs=1,
                full_epochs=20,
                augment=False,
                replay=True,
            ),
            Recipe(
                name="quick",
                summary="a first look in seconds: 200 epochs with augmentation",
                epochs=200,
                full_epochs=20,
            ),
            Recipe(
                name="dc-300",
                summary="the DC paper's: 300 epochs without augmentation",
                epochs=300,
                full_epochs=50,
                augment=False,
            ),
            Recipe(
                name="dsa-1000",
                summary="the DSA and DM papers': 1000 epochs with Siamese augmentation",
                epochs=1000,
                full_epochs=50,
            ),
        )
    }
)


def usual_recipe(synthetic: SyntheticSet) -> str:
    """The recipe by which a set is judged where none is asked for."""
    return "dsa-1000" if synthetic.replay is None else "replay"


def find_recipe(name: str) -> Recipe:
    """The recipe called ``name``, with or without its version (``dsa-1000`` or ``dsa-1000@1``).

    Raises:
        UserError: there is none of that name and version.
    """
    recipe = RECIPES.get(name.split("@")[0])
    if recipe is None or name not in (recipe.name, recipe.label):
        raise unknown("recipe", name, RECIPES, listing="potstill list recipes")
    return recipe
