"""Distribution matching: the base class of methods that match class means of features under one network."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import torch
from torch import Tensor

from potstill.augmentation import siamese_augmentation
from potstill.engine import memory
from potstill.engine.features import Descriptors, FeatureExtractor
from potstill.methods.pixel_descent import PixelDescent, for_all_classes, of_classes
from potstill.methods.problem import Problem
from potstill.methods.state import State, descend
from potstill.networks import NearbyWeights, Network
from potstill.runtime.bounds import at_least
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams

RADIUS = 5.0
"""How far from given weights networks are drawn by default."""


@dataclass(frozen=True, kw_only=True)
class DistributionMatching(PixelDescent):
    """Gradient descent on a loss between the class means of real and of synthetic descriptors.

    A method of this family defines a descriptor and a loss. Each iteration draws a new network, which is never trained.
    Networks may be drawn near given weights instead, as clients do in FedDM (Xiong et al., CVPR 2023).

    Attributes:
        batch_real: real images per class in each iteration.
        augment: apply Siamese augmentation to real and synthetic images.
        around: a file of weights of the matched network, of ``potstill experts`` for example; each iteration's network
            is drawn near them. Their classifier is not used. By default networks are new and random.
        radius: how far from ``around`` networks are drawn at most, as the Euclidean length of a step through all
            parameters; 0 matches the weights themselves.
    """

    published_learning_rate: ClassVar[float] = 1.0

    batch_real: int = 256
    augment: bool = True
    around: str = ""
    radius: float = RADIUS

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, batch_real=1, radius=0)
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

    @abstractmethod
    def descriptor(self) -> Callable[[Network, Tensor], Descriptors]:
        """The function that maps a network and images (N, C, H, W) to their descriptors, (N, D_l) each."""

    @abstractmethod
    def loss(self, targets: Descriptors, means: Descriptors) -> Tensor:
        """The loss between real means ``targets`` and synthetic means ``means``, (classes of the step, D_l) each."""

    def images_per_iteration(self, classes: int, images_per_class: int) -> int:
        """The real batches of all classes of a step plus their synthetic images."""
        return (self.batch_real + images_per_class) * self.parts_of_iteration(classes)

    def planned_bytes(self, problem: Problem) -> float:
        """What the maps of the network and the real batches take."""
        parts = -(-self.parts_of_iteration(problem.class_count) // problem.ranks.count)
        network, images = self.extractor(problem).network, parts * problem.pictures_per_class
        real = problem.real_bytes(self.batch_real, parts, together=network.needs_whole_batches)
        return memory.of_features(network, problem.compute, problem.real.shape, images, parts * self.batch_real, real)

    def prepare(self, problem: Problem) -> State:
        """The initial pixels and their optimiser state.

        Raises:
            UserError: the weights in ``around`` do not fit, or ranks cannot share the classes.
        """
        extractor = self.extractor(problem)
        if self.around:  # raises if the weights do not fit, before any work is done
            self.redraw(problem, extractor.network, problem.streams.generator("network"))
        return self.pixel_optimiser.init("images", problem.start_images)

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

    def extractor(self, problem: Problem) -> FeatureExtractor:
        """The feature extractor, built on the first call.

        Raises:
            UserError: ranks cannot share the classes, because batch norms see them together.
        """

        def make() -> FeatureExtractor:
            network = problem.build_network(problem.streams.generator("network"))
            if network.needs_whole_batches and problem.ranks.count > 1:
                raise UserError(
                    f"the batch norms of {problem.network} see the images of all classes together",
                    "start it without torchrun, or use another norm",
                )
            return FeatureExtractor(network, self.descriptor(), problem.compute)

        return problem.cached((self, "extractor"), make)

    def update(
        self, problem: Problem, extractor: FeatureExtractor, state: State, streams: Streams, iteration: int
    ) -> tuple[State, float | Tensor]:
        """One descent step of the images on the loss.

        Args:
            problem: the distillation problem.
            extractor: the network, with the parameters of this iteration.
            state: the state before the step.
            streams: random streams of this update, for batches and augmentation.
            iteration: number of steps taken before.

        Returns:
            The next state, and the loss before the step.
        """
        loss, gradient = self.matched(problem, extractor, self.decoded(problem, state).images, streams)
        gradients = self.pullback(problem, state, {"images": gradient})
        return descend(state, gradients, {"images": self.pixel_optimiser}, iteration), loss

    def matched(
        self, problem: Problem, extractor: FeatureExtractor, images: Tensor, streams: Streams
    ) -> tuple[Tensor, Tensor]:
        """The loss between real and synthetic class means, and its gradient with respect to the synthetic images.

        One real batch and one augmentation are drawn per class of this step. The augmentation is applied to the real
        and the synthetic images of that class, and both pass through the same network. Ranks take some of these classes
        each, and gather the means, of which the loss may be any function, and the gradient.

        Args:
            problem: the distillation problem.
            extractor: the network, with the parameters of this iteration.
            images: the synthetic images (classes * ipc, C, H, W), ordered by class.
            streams: random streams of this update.

        Returns:
            The loss, and the gradient (classes * ipc, C, H, W).
        """
        every, ranks = problem.class_count, problem.ranks
        chosen = self.classes_of(every, streams)
        share = ranks.share(parts := len(chosen))
        indices = problem.real.sample_per_class(self.batch_real, streams.generator("real batch"), chosen)[share]
        images = of_classes(images.detach(), chosen[share], every).requires_grad_()
        augmented, draw = images, None
        augmentation = siamese_augmentation(flips=problem.flips)
        if self.augment:
            draw = augmentation.draw(streams.generator("augmentation"), parts).rows(share)
            augmented = augmentation.apply(images, draw)
        found = []
        for group, real in problem.real_batches(indices, together=extractor.network.needs_whole_batches):
            augmented_real = real if draw is None else augmentation.apply(real, draw.rows(group))
            found.append(extractor.class_means(augmented_real, len(indices[group])))
        targets = tuple(map(torch.cat, zip(*found, strict=True)))
        means, pullback = extractor.class_means_and_pullback(augmented, len(indices))
        targets, means = (tuple(ranks.gathered(mean, parts) for mean in ours) for ours in (targets, means))
        means = tuple(mean.requires_grad_() for mean in means)
        loss = self.loss(targets, means)
        back = pullback(tuple(part[share] for part in torch.autograd.grad(loss, means)))
        (gradient,) = torch.autograd.grad(augmented, images, back) if self.augment else (back,)
        return loss.detach(), for_all_classes(ranks.gathered(gradient, parts), chosen, every)


def squared_distance(targets: Tensor, means: Tensor) -> Tensor:
    """The sum over classes c of ||target_c - mean_c||², of (classes, D) each."""
    return (targets - means).square().sum()
