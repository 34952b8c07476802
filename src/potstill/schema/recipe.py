"""A recipe as it is written down: the protocol by which networks are trained on a set before they are tested."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from potstill.schema import Record
from potstill.schema.fields import Amount, Count, Fields, Fraction, Positive
from potstill.schema.old_names import with_present_names

Optimiser = Literal["sgd", "adamw"]
Decay = Literal["none", "cut", "cosine"]
Augmentation = Literal["none", "siamese", "condensation"]


@dataclass(frozen=True, kw_only=True)
class Recipe(Record):
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
        replay: instead of all that, take the steps that the set was distilled for, in their order, each with its
            learned rate and from the initial weights that they are for.
        learning_rate_grid: learning rates to choose from, in place of the recipe's one: the rate whose single training
            does best on the validation split, chosen once per network for the set and once for each baseline. The
            full data keeps the recipe's rate.
    """

    name: str
    version: Count = 1
    summary: str
    epochs: Positive
    full_epochs: Positive
    batch_size: Positive = 256
    optimiser: Optimiser = "sgd"
    learning_rate: Amount = 0.01
    momentum: Amount = 0.9
    weight_decay: Amount = 5e-4
    decay: Decay = "cut"
    augmentation: Augmentation = "siamese"
    cutmix: bool = False
    ema_decay: Fraction = 0.0
    learned_rate: bool = False
    replay: bool = False
    learning_rate_grid: tuple[Amount, ...] = ()

    @property
    def label(self) -> str:
        """Name and version, such as ``dsa-1000@1``."""
        return f"{self.name}@{self.version}"

    def to_json(self) -> dict[str, Any]:
        """Its fields; without rates to choose from it is the record of a recipe from before there were any."""
        fields = super().to_json()
        return fields if self.learning_rate_grid else {k: v for k, v in fields.items() if k != "learning_rate_grid"}

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """What ``to_json`` made an object of; older names of fields are understood.

        Raises:
            UserError: a field is absent or not what it should be.
        """
        present = replace(fields, values=with_present_names("recipe", fields.values))
        return cls(**present.arguments(cls))
