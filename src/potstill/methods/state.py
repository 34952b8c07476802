"""The state that methods move: pixels, labels and rates, by SGD with momentum or by Adam; every step is pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from potstill.methods.base import Problem, State
from potstill.synthetic import SyntheticSet

EPSILON = 1e-8
FIRST, SECOND = ".first", ".second"


def start_images(problem: Problem) -> Tensor:
    """The start's images on the device, in float64 where the networks compute in it and else in float32."""
    images = problem.start.images.to(problem.compute.device)
    return images.double() if problem.compute.precision == "float64" else images


def initial_pixels(problem: Problem) -> State:
    """The start's images and no momentum yet."""
    images = start_images(problem)
    return {"images": images, "momentum": torch.zeros_like(images)}


def descend(state: State, gradient: Tensor, *, learning_rate: float, momentum: float) -> State:
    """One step of SGD with momentum on the pixels; what else the state holds stays."""
    velocity = momentum * state["momentum"] + gradient
    return {**state, "images": state["images"] - learning_rate * velocity, "momentum": velocity}


def with_images(problem: Problem, state: State) -> SyntheticSet:
    """The start with its pixels replaced by the state's."""
    return replace(problem.start, images=state["images"].detach().float().cpu())


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


def through_softmax(probabilities: Tensor, gradient: Tensor) -> Tensor:
    """The gradient by logits from that by their probabilities, (N, classes) each: p (g - <g, p>)."""
    return probabilities * (gradient - (gradient * probabilities).sum(1, keepdim=True))
