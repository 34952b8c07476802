"""Recipes: frozen protocols by which a set is judged, each with a name and a version.

A recipe moves accuracies by several points, so a figure without its recipe says little: results of different recipes
are never compared. To change a recipe, add a new version and leave the old one as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Literal, Self

from potstill.augmentation import condensation_augmentation, siamese_augmentation
from potstill.engine.schedule import Decay, Optimiser, Schedule
from potstill.networks import RANDOM_WEIGHTS, InitialWeights
from potstill.runtime.errors import unknown
from potstill.schema.old_names import with_present_names
from potstill.synthetic import SyntheticSet


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
        optimiser: ``sgd`` or ``adamw``.
        learning_rate: at first.
        momentum: of SGD.
        weight_decay: of either.
        decay: of the learning rate: ``none``, a ``cut`` to a tenth just after the middle, which forgets the momentum,
            or half a ``cosine``.
        augmentation: ``none``; ``siamese``, one operation a batch with parameters of each image's own; or
            ``condensation``, one operation an image: shifts, scales and turns of up to 45 degrees, for digits.
        cutmix: whether boxes are exchanged between the images of a batch.
        ema_decay: the share that an exponential average of the weights keeps at each step; 0 for none.
        learned_rate: whether a learning rate that the set brings along is taken in place of the recipe's.
        learning_rate_grid: learning rates to choose from, in place of the recipe's one: the rate whose single training
            does best on the validation split, chosen once per network for the set and once for each baseline. The
            full data keeps the recipe's rate.
        replay: instead of all that, take the steps that the set was distilled for, in their order, each with its
            learned rate and from the initial weights that they are for.
    """

    name: str
    version: int = 1
    summary: str
    epochs: int
    full_epochs: int
    batch_size: int = 256
    optimiser: Optimiser = "sgd"
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    decay: Decay = "cut"
    augmentation: Literal["none", "siamese", "condensation"] = "siamese"
    cutmix: bool = False
    ema_decay: float = 0.0
    learned_rate: bool = False
    learning_rate_grid: tuple[float, ...] = ()
    replay: bool = False

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """What ``to_json`` made a record of.

        Raises:
            TypeError: it holds others.
        """
        fields = with_present_names("recipe", record)
        return cls(**{**fields, "learning_rate_grid": tuple(fields.get("learning_rate_grid", ()))})

    def to_json(self) -> dict[str, Any]:
        """Its fields for a record; without rates to try it is that of a recipe from before there were any."""
        fields = asdict(self)
        rates = list(fields.pop("learning_rate_grid"))
        return {**fields, "learning_rate_grid": rates} if rates else fields

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
        step_size: float | None = None,
    ) -> Schedule:
        """The schedule of one training.

        Args:
            flips: whether mirrored images keep their class in this dataset.
            full: train on the full data rather than on a small set.
            epochs: in place of the recipe's own.
            initial: what networks begin with.
            step_size: the learning rate that the set brings along, if any.
        """
        augmentation = {
            "none": None,
            "siamese": siamese_augmentation(flips=flips),
            "condensation": condensation_augmentation(),
        }[self.augmentation]
        return Schedule(
            epochs=epochs or (self.full_epochs if full else self.epochs),
            batch_size=self.batch_size,
            optimiser=self.optimiser,
            learning_rate=step_size if self.learned_rate and step_size is not None else self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            decay=self.decay,
            augmentation=augmentation,
            one_operation=self.augmentation != "condensation",
            cutmix=self.cutmix,
            ema_decay=self.ema_decay,
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
    """The recipe by which a set is judged where none is asked for: the one that uses all that was learned of it."""
    if synthetic.replay is not None:
        return "replay"
    if synthetic.step_size is None:
        return "dsa-1000"
    return "soft-label" if synthetic.has_soft_labels else "trajectory-1000"


def find_recipe(name: str) -> Recipe:
    """The recipe called ``name``, with or without its version (``dsa-1000`` or ``dsa-1000@1``).

    Raises:
        UserError: there is none of that name and version.
    """
    recipe = RECIPES.get(name.split("@")[0])
    if recipe is None or name not in (recipe.name, recipe.label):
        raise unknown("recipe", name, RECIPES, listing="potstill list recipes")
    return recipe
