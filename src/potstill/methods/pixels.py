"""What methods have in common whose state is the pixels and their momentum."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from potstill.methods.base import Problem, State
from potstill.synthetic import SyntheticSet


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
