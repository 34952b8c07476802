"""The record of a recipe: the protocol by which networks are trained on a set before they are tested."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from potstill.schema import Record
from potstill.schema.fields import Amount, Count, Fields, Fraction, Positive, with_present_names

FEWEST_EPOCHS = 50
"""So many passes over a small set are trained at any scale: fewer would measure the network rather than the set."""

Optimiser = Literal["sgd", "adamw"]
Decay = Literal["none", "cut", "two-cuts", "halvings", "cosine"]
Augmentation = Literal["none", "siamese", "condensation", "strong"]


@dataclass(frozen=True, kw_only=True)
class Recipe(Record):
    """A protocol: how networks are trained on a set before they are tested.

    Attributes:
        name: its name on the command line.
        version: raised with every change that could alter a result.
        summary: a description in one line.
        epochs: passes over the synthetic set or the random images.
        full_epochs: passes over the full data, which is hundreds of times as large.
        batch_size: images per step.
        optimiser: ``sgd`` or ``adamw``.
        learning_rate: the initial learning rate.
        momentum: momentum of SGD.
        weight_decay: weight decay of either optimiser.
        decay: decay of the learning rate: ``none``; a ``cut`` to a tenth just after the middle, which resets the
            momentum; ``two-cuts``, to a fifth after two thirds and again after five sixths; ``halvings``, to half after
            each fifth; or half a ``cosine``.
        augmentation: ``none``; ``siamese``, one operation per batch with separate parameters for each image;
            ``condensation``, one operation per image: shifts, scales and rotations of up to 45 degrees, for digits; or
            ``strong``, mirroring and colours, and one of shift, scale and rotation per batch.
        cutmix: whether boxes are exchanged between the images of a batch.
        cutmix_probability: of doing so to a batch.
        ema_decay: decay of an exponential moving average of the weights, which is tested instead; 0 turns it off.
        learned_rate: whether a learning rate that was learned with the set replaces the recipe's.
        replay: instead of all that, take the steps that the set was distilled for in their order, each with its
            learned rate, from the initial weights that they were learned for.
        learning_rate_grid: learning rates to choose from, instead of ``learning_rate``: the rate with the highest
            validation accuracy after one training, chosen once per network for the set and once for each baseline.
            Training on the full data uses ``learning_rate``.
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
    cutmix_probability: Fraction = 1.0
    ema_decay: Fraction = 0.0
    learned_rate: bool = False
    replay: bool = False
    learning_rate_grid: tuple[Amount, ...] = ()

    @property
    def label(self) -> str:
        """Name and version, such as ``dsa-1000@1``."""
        return f"{self.name}@{self.version}"

    @property
    def unworded(self) -> Recipe:
        """The recipe without its summary, whose wording changes no training."""
        return replace(self, summary="")

    def to_json(self) -> dict[str, Any]:
        """Its fields, but for those that older records lack and that change nothing."""
        unused = {"learning_rate_grid": [], "cutmix_probability": 1.0}
        return {name: value for name, value in super().to_json().items() if unused.get(name, ...) != value}

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """The object that ``to_json`` wrote; older names of fields are understood.

        Raises:
            UserError: a field is absent or invalid.
        """
        present = replace(fields, values=with_present_names("recipe", fields.values))
        return cls(**present.arguments(cls))
