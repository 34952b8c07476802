"""What methods carry from one iteration to the next, and the optimisers that move it; every step is pure.

An optimiser keeps what it needs beside the tensor that it moves, under names that begin with the tensor's:
``images.momentum``, ``labels.first``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

State = dict[str, Tensor]
"""Everything that a method carries from one iteration to the next, by name."""

EPSILON = 1e-8
"""Added to Adam's denominator."""


class Optimiser(Protocol):
    """How a tensor of the state moves along its gradient."""

    def init(self, name: str, tensor: Tensor) -> State:
        """The tensor under its name, and beside it what the optimiser keeps, before the first step."""
        ...

    def step(self, state: State, name: str, gradient: Tensor, iteration: int) -> State:
        """The state after one step.

        Args:
            state: holds what ``init`` made; it is left alone.
            name: of the tensor that moves.
            gradient: of its shape.
            iteration: how many steps it has taken before.
        """
        ...


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with momentum: v <- momentum v + g, x <- x - learning_rate v."""

    learning_rate: float
    momentum: float = 0.0

    def init(self, name: str, tensor: Tensor) -> State:
        """The tensor and a velocity of 0."""
        return {name: tensor, f"{name}.momentum": torch.zeros_like(tensor)}

    def step(self, state: State, name: str, gradient: Tensor, iteration: int) -> State:
        """One step; the same at every iteration."""
        velocity = self.momentum * state[f"{name}.momentum"] + gradient
        return {**state, name: state[name] - self.learning_rate * velocity, f"{name}.momentum": velocity}


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba, ICLR 2015, algorithm 1).

    Attributes:
        learning_rate: alpha.
        betas: decay of the first and of the second moment.
    """

    learning_rate: float
    betas: tuple[float, float] = (0.9, 0.999)

    def init(self, name: str, tensor: Tensor) -> State:
        """The tensor and moments of 0."""
        return {name: tensor, f"{name}.first": torch.zeros_like(tensor), f"{name}.second": torch.zeros_like(tensor)}

    def step(self, state: State, name: str, gradient: Tensor, iteration: int) -> State:
        """One step, the moments corrected for their start at 0."""
        decays, step = self.betas, iteration + 1
        first = decays[0] * state[f"{name}.first"] + (1 - decays[0]) * gradient
        second = decays[1] * state[f"{name}.second"] + (1 - decays[1]) * gradient.square()
        mean, square = first / (1 - decays[0] ** step), second / (1 - decays[1] ** step)
        moved = state[name] - self.learning_rate * mean / (square.sqrt() + EPSILON)
        return {**state, name: moved, f"{name}.first": first, f"{name}.second": second}


def descend(
    state: State, gradients: Mapping[str, Tensor], optimisers: Mapping[str, Optimiser], iteration: int
) -> State:
    """One step on each tensor that has a gradient; the others stay.

    Args:
        state: holds what the optimisers' ``init`` made.
        gradients: by the names of the tensors in the state.
        optimisers: by the same names.
        iteration: how many steps were taken before.
    """
    for name, gradient in gradients.items():
        state = optimisers[name].step(state, name, gradient, iteration)
    return state
