"""Gradient matching, the base class of DC and DSA: match a network's gradients on real and on synthetic images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, grad_and_value, vmap

from potstill.augmentation import NO_AUGMENTATION, SiameseAugmentation
from potstill.engine import memory
from potstill.engine.chunked import ChunkedNetwork
from potstill.engine.layout import share_of_chunk
from potstill.methods.gradient.distances import DISTANCES, DistanceName
from potstill.methods.inner_network import InnerNetwork
from potstill.methods.pixel_descent import PixelDescent, for_all_classes, of_classes
from potstill.methods.problem import Problem
from potstill.methods.state import State, descend
from potstill.networks import Network
from potstill.runtime.bounds import at_least
from potstill.runtime.parallel import parallel_map
from potstill.runtime.streams import Streams

STATISTICS_IMAGES = 16
"""Real images per class from which the batch norm statistics are computed."""


class Loops(NamedTuple):
    """The lengths of the two loops between re-initialisations of the network.

    Attributes:
        outer: pixel updates per network.
        inner: epochs for which the network is trained on the synthetic images between two pixel updates.
    """

    outer: int
    inner: int


@dataclass(frozen=True, kw_only=True)
class GradientMatching(PixelDescent):
    """Algorithm 1 of Zhao et al. (ICLR 2021); an iteration is one update of the pixels.

    Attributes:
        batch_real: real images per class in each iteration.
        distance: distance between two gradients: ``layerwise`` sums 1 - cosine over layers and output units, as in the
            paper; ``euclidean`` is the squared Euclidean distance; ``cosine`` is 1 - cosine of the concatenated
            gradients.
        outer_loops: pixel updates before the network is re-initialised; None uses the published number for these images
            per class, interpolated where necessary.
        inner_epochs: epochs of network training on the synthetic images between two pixel updates; None as above.
        network_learning_rate: learning rate of the network.
        network_batch: synthetic images per training step of the network.
    """

    published_networks: ClassVar[int]
    """Number of networks drawn in a published run."""

    published_learning_rate: ClassVar[float] = 0.1

    published_loops: ClassVar[Mapping[int, Loops]]
    """The published loop lengths by images per class."""

    batch_real: int = 256
    distance: DistanceName = "layerwise"
    outer_loops: int | None = None
    inner_epochs: int | None = None
    network_learning_rate: float = 0.01
    network_batch: int = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, batch_real=1, network_learning_rate=0, network_batch=1)
        at_least(self, outer_loops=1, inner_epochs=0)

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

    def augmentation(self, problem: Problem) -> SiameseAugmentation:
        """The augmentation applied to both real and synthetic images; none by default."""
        return NO_AUGMENTATION

    def images_per_iteration(self, classes: int, images_per_class: int) -> int:
        """The real batches of all classes of a step plus their synthetic images."""
        return (self.batch_real + images_per_class) * self.parts_of_iteration(classes)

    def planned_bytes(self, problem: Problem) -> float:
        """What gradients, the maps of the network and the real batches take."""
        network, images = self._network(problem).network, problem.pictures_per_class
        parameters = sum(parameter.numel() for parameter in network.parameters())
        parts = -(-self.parts_of_iteration(problem.class_count) // problem.ranks.count)
        real = problem.real_bytes(self.batch_real, parts, kept_per_class=parameters)
        at_once = min(problem.classes_at_once(self.batch_real, parameters), parts)
        return memory.of_gradients(network, problem.compute, problem.real.shape, images, self.batch_real, at_once, real)

    def prepare(self, problem: Problem) -> State:
        """The initial pixels, and the network's parameters if it is kept for more than one iteration."""
        state = self.pixel_optimiser.init("images", problem.start_images)
        lives_on = self.loops(problem.images_per_class).outer > 1
        return state | self._network(problem).stored() if lives_on else state

    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float | Tensor]:
        """Update the pixels once, then train the network on them.

        Args:
            problem: the distillation problem.
            state: pixels, optimiser state and, with several outer loops, the network's parameters.
            iteration: index of this iteration, counted from 0.

        Returns:
            The next state, and the loss before this step.
        """
        streams = problem.streams.child("iteration", iteration)
        loops, network = self.loops(problem.images_per_class), self._network(problem)
        if iteration % loops.outer == 0:
            network.redraw(streams.generator("network"))
        else:
            network.restore(state)
        loss, gradient = self._gradient(problem, network, self.decoded(problem, state).images, streams)
        gradients = self.pullback(problem, state, {"images": gradient})
        state = descend(state, gradients, {"images": self.pixel_optimiser}, iteration)
        if (iteration + 1) % loops.outer:
            images, labels = self.decoded(problem, state)
            network.train(
                images,
                labels,
                streams.child("training"),
                steps=loops.inner * math.ceil(len(images) / self.network_batch),
                batch=self.network_batch,
                learning_rate=self.network_learning_rate,
                augmentation=self.augmentation(problem),
            )
        return state | network.stored() if loops.outer > 1 else state, loss

    def _gradient(
        self, problem: Problem, network: InnerNetwork, images: Tensor, streams: Streams
    ) -> tuple[Tensor, Tensor]:
        """The sum over the classes of a step of the gradient distance, and its gradient with respect to the pixels."""
        every, ranks = problem.class_count, problem.ranks
        chosen = self.classes_of(every, streams)
        share = ranks.share(parts := len(chosen))
        freeze_statistics(problem, network, streams)
        indices = problem.real.sample_per_class(self.batch_real, streams.generator("real batch"), chosen)[share]
        images = of_classes(images.detach(), chosen[share], every).requires_grad_()
        augmentation = self.augmentation(problem)
        draw = augmentation.draw(streams.generator("augmentation"), parts).rows(share)
        augmented = augmentation.apply(images, draw)
        labels = chosen[share].to(images.device, non_blocking=True)
        synthetic = augmented.detach().unflatten(0, (len(labels), -1))
        losses, back = [], []
        parameters = sum(parameter.numel() for parameter in network.network.parameters())
        for group, real in problem.real_batches(indices, kept_per_class=parameters):
            some = augmentation.apply(real, draw.rows(group)).chunk(len(labels[group]))
            batches = [(batch, label.expand(len(batch))) for batch, label in zip(some, labels[group], strict=True)]
            targets = [gradients for _, gradients in network.chunked.loss_gradients(batches)]
            found = distance_gradients(network.weights.network, synthetic[group], labels[group], targets, self.distance)
            losses.append(found[0])
            back.append(found[1])
        gradient = torch.cat(back).flatten(0, 1)
        if augmented is not images:
            (gradient,) = torch.autograd.grad(augmented, images, gradient)
        gradient = for_all_classes(ranks.gathered(gradient, parts), chosen, every)
        return ranks.gathered(torch.cat(losses), parts).sum(), gradient

    def _network(self, problem: Problem) -> InnerNetwork:
        def make() -> InnerNetwork:
            network = problem.build_network(problem.streams.generator("network"))
            return InnerNetwork(ChunkedNetwork(network, problem.compute))

        return problem.cached(self, make)


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


def distance_gradients(
    network: Network,
    images: Tensor,
    labels: Tensor,
    targets: list[list[Tensor]],
    distance: DistanceName,
    *,
    batched: bool | None = None,
) -> tuple[Tensor, Tensor]:
    """For each class c, D(targets_c, gradient of the cross-entropy of images_c); and the gradient of the sum.

    Args:
        network: the network, with the parameters of this iteration.
        images: synthetic images (classes, ipc, C, H, W).
        labels: int64 (classes,).
        targets: for each class the real gradients, one tensor per parameter.
        distance: name of the distance D.
        batched: True processes all classes in one vectorised pass, False one class at a time on the workers. None uses
            the faster option for the device: on two cores the vectorised pass is slower (``benchmarks/gradients.py``).

    Returns:
        The distances (classes,), and the gradient of their sum with respect to ``images``, of the same shape.
    """
    batched = images.device.type != "cpu" if batched is None else batched
    of = DISTANCES[distance]
    shared = labels[:, None].expand(images.shape[:2])
    if batched:
        parameters = {name: parameter.detach() for name, parameter in network.named_parameters()}

        def apart(pixels: Tensor, label: Tensor, target: list[Tensor]) -> Tensor:
            def loss(inner: dict[str, Tensor]) -> Tensor:
                return F.cross_entropy(functional_call(network, inner, (pixels,)), label)

            return of(target, list(grad(loss)(parameters).values()))

        stacked = [torch.stack(parts) for parts in zip(*targets, strict=True)]
        size = share_of_chunk(len(images))
        groups = zip(images.split(size), shared.split(size), *(part.split(size) for part in stacked), strict=True)
        found = [vmap(grad_and_value(apart))(some.contiguous(), label, target) for some, label, *target in groups]
        return torch.cat([losses for _, losses in found]), torch.cat([gradients for gradients, _ in found])

    parameters = list(network.parameters())

    def of_class(given: tuple[Tensor, Tensor, list[Tensor]]) -> tuple[Tensor, Tensor]:
        pixels, label, target = given[0].detach().requires_grad_(), given[1], given[2]
        loss = F.cross_entropy(network(pixels), label)
        apart = of(target, torch.autograd.grad(loss, parameters, create_graph=True))
        return apart.detach(), torch.autograd.grad(apart, pixels)[0]

    found = parallel_map(of_class, list(zip(images, shared, targets, strict=True)))
    return torch.stack([loss for loss, _ in found]), torch.stack([gradient for _, gradient in found])


@torch.no_grad()
def freeze_statistics(problem: Problem, network: InnerNetwork, streams: Streams) -> None:
    """Compute batch norm statistics on real images and freeze them; networks without batch norm are not changed.

    Otherwise the gradient of each class would be computed with the statistics of that class alone.

    Args:
        problem: the distillation problem, which provides the real images.
        network: the network; it is left in evaluation mode if it has batch norm.
        streams: random streams of this iteration; real images are drawn from its generator ``statistics``.
    """
    norms = [module for module in network.network.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative average
    indices = problem.real.sample_per_class(STATISTICS_IMAGES, streams.generator("statistics"))
    network.network.train()
    network.chunked.logits(problem.real.normalised(indices.flatten()).to(problem.compute.dtype))
    network.network.eval()
    network.weights.network.eval()
