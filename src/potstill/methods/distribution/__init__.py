"""Distribution matching: the base class of methods that match class means of features under one network."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from potstill.augmentation import NO_AUGMENTATION, Draw, SiameseAugmentation, siamese_augmentation
from potstill.engine import memory
from potstill.engine.features import Descriptors, FeatureExtractor, Pullback
from potstill.methods.pixel_descent import PixelDescent, for_all_classes, of_classes
from potstill.methods.problem import Problem
from potstill.methods.state import State, descend
from potstill.networks import Network
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams


@dataclass(frozen=True, kw_only=True)
class DistributionMatching(PixelDescent):
    """Gradient descent on a loss between the class means of real and of synthetic descriptors.

    A method of this family defines a descriptor, a loss, and which networks it looks through: new random ones
    (``random_networks.py``) or mixtures of stored ones (``pool.py``).

    Attributes:
        augment: apply Siamese augmentation to real and synthetic images.
    """

    published_learning_rate: ClassVar[float] = 1.0

    augment: bool = True

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
        """The initial pixels and their optimiser state."""
        return self.initial_state(problem)

    def extractor(self, problem: Problem) -> FeatureExtractor:
        """The feature extractor, built on the first call.

        Raises:
            UserError: ranks cannot share the classes, because batch norms see them together.
        """
        return problem.cached((self, "extractor"), lambda: extractor_of(problem, self.descriptor()))

    def update(
        self, problem: Problem, extractor: FeatureExtractor, state: State, streams: Streams, iteration: int
    ) -> tuple[State, float | Tensor]:
        """One descent step of the images on the loss.

        Args:
            problem: the distillation problem.
            extractor: the network, with the parameters of this iteration.
            state: the state before the step, of ``with_batches``.
            streams: random streams of this update, for batches and augmentation.
            iteration: number of steps taken before.

        Returns:
            The next state, and the loss before the step.
        """
        loss, gradient = self.matched(problem, extractor, state, streams)
        gradients = self.pullback(problem, state, {"images": gradient})
        return descend(state, gradients, self.optimisers(problem), iteration), loss

    def matched(
        self, problem: Problem, extractor: FeatureExtractor, state: State, streams: Streams
    ) -> tuple[Tensor, Tensor]:
        """The loss between real and synthetic class means, and its gradient with respect to the synthetic images.

        One real batch and one augmentation are drawn per class of this step. The augmentation is applied to the real
        and the synthetic images of that class, and both pass through the same network. Ranks take some of these classes
        each, and gather the means, of which the loss may be any function, and the gradient.

        Args:
            problem: the distillation problem.
            extractor: the network, with the parameters of this iteration.
            state: the current state.
            streams: random streams of this update.

        Returns:
            The loss, and the gradient (classes * ipc, C, H, W).
        """
        chosen = self.classes_of(problem.class_count, streams)
        draw = self.augmentation(problem).draw(streams.generator("augmentation"), len(chosen))
        indices = self.real_indices(problem, state, streams, chosen)
        images = self.decoded(problem, state).images
        targets = self.real_means(problem, extractor, indices, draw)
        means, pullback = self.synthetic_means(problem, extractor, images, chosen, draw)
        loss, gradients = with_gradients(lambda means: self.loss(targets, means), means)
        return loss, pullback(gradients)

    def augmentation(self, problem: Problem) -> SiameseAugmentation:
        """The augmentation that is applied to the real and the synthetic images of a class."""
        return siamese_augmentation(flips=problem.flips) if self.augment else NO_AUGMENTATION

    def real_means(self, problem: Problem, extractor: FeatureExtractor, indices: Tensor, draw: Draw) -> Descriptors:
        """The mean descriptors of a batch of real images of each class of a step.

        Args:
            problem: the distillation problem.
            extractor: the network, with the parameters of this iteration.
            indices: int64 (classes of the step, n): the real images of each class.
            draw: the augmentation of each class.

        Returns:
            For each descriptor (classes of the step, D_l).
        """
        parts, augmentation = len(indices), self.augmentation(problem)
        share = problem.ranks.share(parts)
        ours, own = indices[share], draw.rows(share)
        found = []
        for group, real in problem.real_batches(ours, together=extractor.network.needs_whole_batches):
            found.append(extractor.class_means(augmentation.apply(real, own.rows(group)), len(ours[group])))
        return tuple(problem.ranks.gathered(torch.cat(some), parts) for some in zip(*found, strict=True))

    def synthetic_means(
        self, problem: Problem, extractor: FeatureExtractor, images: Tensor, chosen: Tensor, draw: Draw
    ) -> tuple[Descriptors, Pullback]:
        """The mean descriptors of the synthetic images of each class of a step, and the way back from them.

        Args:
            problem: the distillation problem.
            extractor: the network, with the parameters of this iteration.
            images: the synthetic images (classes * ipc, C, H, W), ordered by class.
            chosen: int64 (classes of the step,), ascending.
            draw: the augmentation of each class of the step.

        Returns:
            For each descriptor (classes of the step, D_l); and the function from the gradients of a loss with respect
            to these to its gradient with respect to ``images``.
        """
        every, parts, ranks = problem.class_count, len(chosen), problem.ranks
        share = ranks.share(parts)
        images = of_classes(images.detach(), chosen[share], every).requires_grad_()
        augmented = self.augmentation(problem).apply(images, draw.rows(share))
        ours, back = extractor.class_means_and_pullback(augmented, len(chosen[share]))

        def pullback(gradients: Descriptors) -> Tensor:
            gradient = back(tuple(part[share] for part in gradients))
            if augmented is not images:
                (gradient,) = torch.autograd.grad(augmented, images, gradient)
            return for_all_classes(ranks.gathered(gradient, parts), chosen, every)

        return tuple(ranks.gathered(mean, parts) for mean in ours), pullback


def with_gradients(loss_of: Callable[[Descriptors], Tensor], means: Descriptors) -> tuple[Tensor, Descriptors]:
    """A loss of mean descriptors, and its gradient with respect to each of them."""
    means = tuple(mean.detach().requires_grad_() for mean in means)
    with torch.enable_grad():
        loss = loss_of(means)
    return loss.detach(), torch.autograd.grad(loss, means)


def extractor_of(problem: Problem, describe: Callable[[Network, Tensor], Descriptors]) -> FeatureExtractor:
    """A feature extractor on a network of the problem.

    Args:
        problem: the distillation problem.
        describe: from the network and images to their descriptors.

    Raises:
        UserError: ranks cannot share the classes, because batch norms see them together.
    """
    network = problem.build_network(problem.streams.generator("network"))
    if network.needs_whole_batches and problem.ranks.count > 1:
        raise UserError(
            f"the batch norms of {problem.network} see the images of all classes together",
            "start it without torchrun, or use another norm",
        )
    return FeatureExtractor(network, describe, problem.compute)


def squared_distance(targets: Tensor, means: Tensor) -> Tensor:
    """The sum over classes c of ||target_c - mean_c||², of (classes, D) each."""
    return (targets - means).square().sum()
