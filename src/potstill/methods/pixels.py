"""What methods have in common whose state is the pixels and their momentum."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from potstill.methods.base import Problem, State
from potstill.synthetic import SyntheticSet


def initial_pixels(problem: Problem) -> State:
    """The start's images and no momentum yet, on the device."""
    images = problem.start.images.to(problem.compute.device)
    if problem.compute.precision == "float64":
        images = images.double()
    return {"images": images, "momentum": torch.zeros_like(images)}


def descend(state: State, gradient: Tensor, *, learning_rate: float, momentum: float) -> State:
    """One step of SGD with momentum on the pixels; what else the state holds stays."""
    velocity = momentum * state["momentum"] + gradient
    return {**state, "images": state["images"] - learning_rate * velocity, "momentum": velocity}


def with_images(problem: Problem, state: State) -> SyntheticSet:
    """The start with its pixels replaced by the state's."""
    return replace(problem.start, images=state["images"].detach().float().cpu())
