"""Adam on a method's state: pure, its moments in the state beside what it moves."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from potstill.methods.base import State

EPSILON = 1e-8
FIRST, SECOND = ".first", ".second"


def with_moments(moved: State) -> State:
    """A state with zero moments beside each tensor."""
    zeros = {f"{name}{moment}": torch.zeros_like(t) for name, t in moved.items() for moment in (FIRST, SECOND)}
    return {**moved, **zeros}


def adam_step(
    state: State,
    gradients: Mapping[str, Tensor],
    iteration: int,
    *,
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
) -> State:
    """One step of Adam (Kingma and Ba, ICLR 2015, algorithm 1); what has no gradient stays.

    Args:
        state: of ``with_moments``.
        gradients: by name.
        iteration: counted from 0.
        learning_rate: alpha.
        betas: decay of the first and of the second moment.
    """
    after = dict(state)
    for name, gradient in gradients.items():
        first = betas[0] * state[name + FIRST] + (1 - betas[0]) * gradient
        second = betas[1] * state[name + SECOND] + (1 - betas[1]) * gradient.square()
        mean, square = first / (1 - betas[0] ** (iteration + 1)), second / (1 - betas[1] ** (iteration + 1))
        after |= {name + FIRST: first, name + SECOND: second}
        after[name] = state[name] - learning_rate * mean / (square.sqrt() + EPSILON)
    return after
