"""Gradient matching whose network is trained on the synthetic images between two updates of the pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar, NamedTuple, Self

from potstill.methods.gradient import GradientMatching
from potstill.methods.inner_network import InnerNetwork
from potstill.methods.problem import Problem
from potstill.methods.state import State
from potstill.runtime.bounds import at_least
from potstill.runtime.streams import Streams


class Loops(NamedTuple):
    """The lengths of the two loops between re-initialisations of the network.

    Attributes:
        outer: pixel updates per network.
        inner: epochs for which the network is trained on the synthetic images between two pixel updates.
    """

    outer: int
    inner: int


@dataclass(frozen=True, kw_only=True)
class AlternatingMatching(GradientMatching):
    """Algorithm 1 of Zhao et al. (ICLR 2021).

    Attributes:
        inner_epochs: epochs of network training on the synthetic images between two pixel updates; None uses the
            published number, interpolated between images per class where necessary.
        network_batch: synthetic images per training step of the network.
    """

    published_networks: ClassVar[int]
    """Number of networks drawn in a published run."""

    published_loops: ClassVar[Mapping[int, Loops]]
    """The published loop lengths by images per class."""

    inner_epochs: int | None = None
    network_batch: int = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, inner_epochs=0, network_batch=1)

    def loops(self, images_per_class: int) -> Loops:
        """The loop lengths in effect: those of the settings, otherwise the published ones."""
        published = interpolated(self.published_loops, images_per_class)
        return Loops(
            outer=published.outer if self.outer_loops is None else self.outer_loops,
            inner=published.inner if self.inner_epochs is None else self.inner_epochs,
        )

    def resolved(self, images_per_class: int, dataset: str = "") -> Self:
        """A copy with the learning rate and the loop lengths filled in."""
        loops = self.loops(images_per_class)
        return replace(super().resolved(images_per_class, dataset), outer_loops=loops.outer, inner_epochs=loops.inner)

    def default_iterations(self, images_per_class: int) -> int:
        """The published number of networks times the pixel updates per network."""
        return self.published_networks * self.loops(images_per_class).outer

    def updates_per_network(self, images_per_class: int) -> int:
        """The length of the outer loop."""
        return self.loops(images_per_class).outer

    def train_network(self, problem: Problem, network: InnerNetwork, state: State, streams: Streams) -> None:
        """Train the network on the synthetic images for the epochs of the inner loop."""
        images, labels = self.decoded(problem, state)
        network.train(
            images,
            labels,
            streams,
            steps=self.loops(problem.images_per_class).inner * math.ceil(len(images) / self.network_batch),
            batch=self.network_batch,
            learning_rate=self.network_learning_rate,
            augmentation=self.augmentation(problem),
        )


def interpolated(published: Mapping[int, Loops], images_per_class: int) -> Loops:
    """Loop lengths for any number of images per class, from the published ones.

    Between two published numbers of images per class they are interpolated linearly and rounded. Above the largest
    there are as many outer loops as images per class, as in most published settings, and the inner epochs of the
    largest.

    Args:
        published: loop lengths by images per class, from 1 on.
        images_per_class: synthetic images per class.
    """
    known = sorted(published)
    for low, high in pairwise(known):
        if low <= images_per_class < high:
            share = (images_per_class - low) / (high - low)
            return Loops(*(round(a + share * (b - a)) for a, b in zip(published[low], published[high], strict=True)))
    return Loops(images_per_class, published[known[-1]].inner)
