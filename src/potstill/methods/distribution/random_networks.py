"""Distribution matching under networks that are drawn anew in each iteration, and never trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from potstill.methods.distribution import DistributionMatching
from potstill.methods.problem import Problem
from potstill.methods.state import State
from potstill.networks import NearbyWeights, Network
from potstill.runtime.bounds import at_least
from potstill.runtime.errors import UserError

RADIUS = 5.0
"""How far from given weights networks are drawn by default."""


@dataclass(frozen=True, kw_only=True)
class RandomNetworks(DistributionMatching):
    """Each iteration draws a new network, which is never trained.

    Networks may be drawn near given weights instead, as clients do in FedDM (Xiong et al., CVPR 2023).

    Attributes:
        around: a file of weights of the matched network, of ``potstill experts`` for example; each iteration's network
            is drawn near them. Their classifier is not used. By default networks are new and random.
        radius: how far from ``around`` networks are drawn at most, as the Euclidean length of a step through all
            parameters; 0 matches the weights themselves.
    """

    around: str = ""
    radius: float = RADIUS

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, radius=0)
        if self.radius != RADIUS and not self.around:
            raise UserError(f"`radius={self.radius}` has no effect without `around`", "name a file of weights too")

    def matching_around(self, weights: Path, radius: float) -> Self:
        """A copy whose networks are drawn near given weights.

        Raises:
            UserError: this one is to match networks near other weights.
        """
        if self.around:
            raise UserError(f"{self.name} with `around={self.around}` has weights of its own", "leave `around` out")
        return replace(self, around=str(weights), radius=radius)

    def input_files(self) -> list[Path]:
        """The file of weights near which networks are drawn, if there is one."""
        return [Path(self.around)] if self.around else []

    def prepare(self, problem: Problem) -> State:
        """The initial pixels and their optimiser state.

        Raises:
            UserError: the weights in ``around`` do not fit, or ranks cannot share the classes.
        """
        if self.around:  # raises if the weights do not fit, before any work is done
            self.redraw(problem, self.extractor(problem).network, problem.streams.generator("network"))
        return super().prepare(problem)

    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float | Tensor]:
        """Match the class means under one newly drawn network.

        Args:
            problem: the distillation problem.
            state: the pixels and their optimiser state.
            iteration: index of this iteration, counted from 0.

        Returns:
            The next state, and the loss before this step.
        """
        streams = problem.streams.child("iteration", iteration)
        extractor = self.extractor(problem)
        self.redraw(problem, extractor.network, streams.generator("network"))
        state = self.with_batches(problem, state, extractor.network, streams, iteration)
        return self.update(problem, extractor, state, streams, iteration)

    def redraw(self, problem: Problem, network: Network, generator: torch.Generator) -> None:
        """Draw the parameters of an iteration's network in place: new ones, or some near given weights.

        Args:
            problem: the distillation problem.
            network: the network.
            generator: a CPU generator.

        Raises:
            UserError: the given weights are absent or do not fit the network.
        """
        if not self.around:
            network.initialise(generator)
            return
        path, radius = Path(self.around), self.radius
        problem.cached((path, radius), lambda: NearbyWeights(path, radius)).draw(network, generator)
