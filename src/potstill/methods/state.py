"""The state that methods carry from one iteration to the next, and the optimisers that update it as pure functions.

An optimiser stores its own tensors in the same state, under names prefixed with that of the tensor it updates:
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
    """Updates one tensor of the state, given its gradient."""

    def init(self, name: str, tensor: Tensor) -> State:
        """The tensor under ``name`` and the optimiser's initial tensors beside it."""
        ...

    def step(self, state: State, name: str, gradient: Tensor, iteration: int) -> State:
        """The state after one step.

        Args:
            state: the current state, which contains the tensors of ``init``; it is not modified.
            name: name of the tensor to update.
            gradient: its gradient, of the same shape.
            iteration: number of steps taken before.

        Returns:
            A new state.
        """
        ...


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with momentum: v <- momentum v + g, x <- x - learning_rate v."""

    learning_rate: float
    momentum: float = 0.0

    def init(self, name: str, tensor: Tensor) -> State:
        """The tensor and a zero velocity."""
        return {name: tensor, f"{name}.momentum": torch.zeros_like(tensor)}

    def step(self, state: State, name: str, gradient: Tensor, iteration: int) -> State:
        """One step of SGD.

        Args:
            state: the current state; it is not modified.
            name: name of the tensor to update.
            gradient: its gradient, of the same shape.
            iteration: not used.

        Returns:
            A new state.
        """
        velocity = self.momentum * state[f"{name}.momentum"] + gradient
        return {**state, name: state[name] - self.learning_rate * velocity, f"{name}.momentum": velocity}


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba, ICLR 2015, algorithm 1).

    Attributes:
        learning_rate: alpha.
        betas: decay rates of the first and second moments.
    """

    learning_rate: float
    betas: tuple[float, float] = (0.9, 0.999)

    def init(self, name: str, tensor: Tensor) -> State:
        """The tensor and zero moments."""
        return {name: tensor, f"{name}.first": torch.zeros_like(tensor), f"{name}.second": torch.zeros_like(tensor)}

    def step(self, state: State, name: str, gradient: Tensor, iteration: int) -> State:
        """One step of Adam, with bias-corrected moments.

        Args:
            state: the current state; it is not modified.
            name: name of the tensor to update.
            gradient: its gradient, of the same shape.
            iteration: number of steps taken before, for the bias correction.

        Returns:
            A new state.
        """
        decays, step = self.betas, iteration + 1
        first = decays[0] * state[f"{name}.first"] + (1 - decays[0]) * gradient
        second = decays[1] * state[f"{name}.second"] + (1 - decays[1]) * gradient.square()
        mean, square = first / (1 - decays[0] ** step), second / (1 - decays[1] ** step)
        moved = state[name] - self.learning_rate * mean / (square.sqrt() + EPSILON)
        return {**state, name: moved, f"{name}.first": first, f"{name}.second": second}


@dataclass(frozen=True)
class LAMB:
    """LAMB without weight decay (You et al., ICLR 2020, arXiv:1904.00962): Adam's step, as long as the tensor itself.

    Attributes:
        learning_rate: length of a step relative to that of the tensor.
        betas: decay rates of the first and second moments.
    """

    learning_rate: float
    betas: tuple[float, float] = (0.9, 0.999)

    def init(self, name: str, tensor: Tensor) -> State:
        """The tensor and zero moments."""
        return Adam(self.learning_rate, self.betas).init(name, tensor)

    def step(self, state: State, name: str, gradient: Tensor, iteration: int) -> State:
        """One step of LAMB; where the tensor or Adam's step is zero, a step of Adam.

        Args:
            state: the current state; it is not modified.
            name: name of the tensor to update.
            gradient: its gradient, of the same shape.
            iteration: number of steps taken before, for the bias correction.

        Returns:
            A new state.
        """
        moved = Adam(1.0, self.betas).step(state, name, gradient, iteration)
        step = state[name] - moved[name]
        own, other = state[name].norm(), step.norm()
        ratio = torch.where((own > 0) & (other > 0), own / other, torch.ones_like(own))
        return {**moved, name: state[name] - self.learning_rate * ratio * step}


@dataclass(frozen=True)
class Averaged:
    """Another optimiser, and beside its tensor the average of where it has been: it moves as without.

    The average is exponential, with a memory of ``updates``, and plain over the first so many (Polyak and Juditsky,
    SIAM J. Control Optim. 1992).

    Attributes:
        optimiser: what moves the tensor.
        updates: about how many of the last updates count.
    """

    optimiser: Optimiser
    updates: int

    def init(self, name: str, tensor: Tensor) -> State:
        """The other's tensors, and the tensor once more as its average."""
        return {**self.optimiser.init(name, tensor), average_of(name): tensor}

    def step(self, state: State, name: str, gradient: Tensor, iteration: int) -> State:
        """One step of the other; the new tensor joins the average.

        Args:
            state: the current state; it is not modified.
            name: name of the tensor to update.
            gradient: its gradient, of the same shape.
            iteration: number of steps taken before.

        Returns:
            A new state.
        """
        moved, average = self.optimiser.step(state, name, gradient, iteration), average_of(name)
        share = max(1 / (iteration + 1), 1 / self.updates)
        return {**moved, average: torch.lerp(state[average], moved[name], share)}


def average_of(name: str) -> str:
    """The name of the average of a tensor of the state."""
    return f"{name}.average"


def descend(
    state: State, gradients: Mapping[str, Tensor], optimisers: Mapping[str, Optimiser], iteration: int
) -> State:
    """One step on each tensor that has a gradient; the others are unchanged.

    Args:
        state: the current state, which contains the tensors of each optimiser's ``init``; it is not modified.
        gradients: gradient of each tensor, by its name in the state.
        optimisers: optimiser of each tensor, by the same names.
        iteration: number of steps taken before.

    Returns:
        A new state.
    """
    for name, gradient in gradients.items():
        state = optimisers[name].step(state, name, gradient, iteration)
    return state
