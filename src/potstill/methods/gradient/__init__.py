"""Gradient matching, the base class of DC, DSA and IDC: match a network's gradients on real and synthetic images."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

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


@dataclass(frozen=True, kw_only=True)
class GradientMatching(PixelDescent):
    """Match the gradients of a network that is trained in between; an iteration is one update of the pixels.

    A method of this family says how long a network is kept and on what it is trained: on the synthetic images
    (``alternating.py``) or on real ones (``idc.py``).

    Attributes:
        distance: distance between two gradients: ``layerwise`` sums 1 - cosine over layers and output units, as in DC;
            ``euclidean`` is the squared Euclidean distance; ``cosine`` is 1 - cosine of the concatenated gradients;
            ``l1`` and ``mse`` sum the absolute or the squared differences of convolution weights alone, as in IDC.
        outer_loops: pixel updates before the network is re-initialised; None uses the published number, interpolated
            between images per class where necessary.
        network_learning_rate: learning rate of the network.
    """

    published_learning_rate: ClassVar[float] = 0.1

    distance: DistanceName = "layerwise"
    outer_loops: int | None = None
    network_learning_rate: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, network_learning_rate=0, outer_loops=1)

    @abstractmethod
    def updates_per_network(self, images_per_class: int) -> int:
        """Pixel updates before the network is re-initialised."""

    def distance_of(self, problem: Problem) -> DistanceName:
        """The distance in effect."""
        return self.distance

    @abstractmethod
    def train_network(self, problem: Problem, network: InnerNetwork, state: State, streams: Streams) -> None:
        """Train the network between two updates of the pixels.

        Args:
            problem: the distillation problem.
            network: the network, which is trained in place.
            state: the state after the update.
            streams: random streams of this training.
        """

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
        state = self.initial_state(problem)
        lives_on = self.updates_per_network(problem.images_per_class) > 1
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
        updates, network = self.updates_per_network(problem.images_per_class), self._network(problem)
        if iteration % updates == 0:
            network.redraw(streams.generator("network"))
        else:
            network.restore(state)
        freeze_statistics(problem, network, streams)
        state = self.with_batches(problem, state, network.network, streams, iteration)
        loss, gradient = self._gradient(problem, network, state, streams)
        gradients = self.pullback(problem, state, {"images": gradient})
        state = descend(state, gradients, self.optimisers(problem), iteration)
        if (iteration + 1) % updates:
            self.train_network(problem, network, state, streams.child("training"))
        return state | network.stored() if updates > 1 else state, loss

    def _gradient(
        self, problem: Problem, network: InnerNetwork, state: State, streams: Streams
    ) -> tuple[Tensor, Tensor]:
        """The sum over the classes of a step of the gradient distance, and its gradient with respect to the pixels."""
        every, ranks = problem.class_count, problem.ranks
        chosen = self.classes_of(every, streams)
        share = ranks.share(parts := len(chosen))
        indices = self.real_indices(problem, state, streams, chosen)[share]
        images = of_classes(self.decoded(problem, state).images.detach(), chosen[share], every).requires_grad_()
        augmentation = self.augmentation(problem)
        draw = augmentation.draw(streams.generator("augmentation"), parts).rows(share)
        augmented = augmentation.apply(images, draw)
        labels = chosen[share].to(images.device, non_blocking=True)
        synthetic = augmented.detach().unflatten(0, (len(labels), -1))
        losses, back, distance = [], [], self.distance_of(problem)
        parameters = sum(parameter.numel() for parameter in network.network.parameters())
        for group, real in problem.real_batches(indices, kept_per_class=parameters):
            some = augmentation.apply(real, draw.rows(group)).chunk(len(labels[group]))
            batches = [(batch, label.expand(len(batch))) for batch, label in zip(some, labels[group], strict=True)]
            targets = [gradients for _, gradients in network.chunked.loss_gradients(batches)]
            found = distance_gradients(network.weights.network, synthetic[group], labels[group], targets, distance)
            losses.append(found[0])
            back.append(found[1])
        gradient = torch.cat(back).flatten(0, 1)
        if augmented is not images:
            (gradient,) = torch.autograd.grad(augmented, images, gradient)
        gradient = for_all_classes(ranks.gathered(gradient, parts), chosen, every)
        return ranks.gathered(torch.cat(losses), parts).sum(), gradient

    def _network(self, problem: Problem) -> InnerNetwork:
        return problem.cached(self, lambda: self.inner_network(problem))

    def inner_network(self, problem: Problem) -> InnerNetwork:
        """The network that is matched, and trained in between."""
        return InnerNetwork(
            ChunkedNetwork(problem.build_network(problem.streams.generator("network")), problem.compute)
        )


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
