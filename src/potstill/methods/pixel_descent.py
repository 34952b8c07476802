"""What the matching methods have in common: they descend a loss in the pixels, by SGD as published or by Adam."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

from potstill.methods.base import Method
from potstill.methods.state import SGD, Adam, Optimiser
from potstill.runtime.bounds import at_least, below_one

OptimiserName = Literal["sgd", "adam"]

ADAM_LEARNING_RATE = 0.05
"""In normalised units; a step of Adam changes a pixel by about as much, whatever the scale of the loss."""


def pixel_optimiser(name: OptimiserName, learning_rate: float, momentum: float) -> Optimiser:
    """The optimiser of the pixels.

    Args:
        name: ``sgd`` or ``adam``.
        learning_rate: its step size.
        momentum: of SGD; Adam has no use for it.
    """
    return SGD(learning_rate, momentum) if name == "sgd" else Adam(learning_rate)


@dataclass(frozen=True, kw_only=True)
class PixelDescent(Method):
    """A method that descends a loss in the pixels.

    Attributes:
        optimiser: of the pixels: ``sgd`` as published, or ``adam``, whose steps do not depend on the scale of the loss.
        learning_rate: step size for the synthetic pixels; None uses the published one with ``sgd``, 0.05 with ``adam``.
        momentum: momentum of the pixel updates with ``sgd``.
    """

    published_learning_rate: ClassVar[float]

    optimiser: OptimiserName = "sgd"
    learning_rate: float | None = None
    momentum: float = 0.5

    def __post_init__(self) -> None:
        at_least(self, learning_rate=0)
        below_one(self, "momentum")

    def resolved(self, images_per_class: int, dataset: str = "") -> Self:
        """A copy with the learning rate filled in."""
        return replace(super().resolved(images_per_class, dataset), learning_rate=self.settled_learning_rate)

    @property
    def settled_learning_rate(self) -> float:
        """The learning rate in effect."""
        if self.learning_rate is not None:
            return self.learning_rate
        return self.published_learning_rate if self.optimiser == "sgd" else ADAM_LEARNING_RATE

    @property
    def pixel_optimiser(self) -> Optimiser:
        """The optimiser in effect."""
        return pixel_optimiser(self.optimiser, self.settled_learning_rate, self.momentum)
