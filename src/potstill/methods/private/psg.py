"""PSG: private set generation by matching noisy gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call, grad, vmap

from potstill.engine import memory
from potstill.engine.chunked import ChunkedNetwork
from potstill.methods.citations import Citation
from potstill.methods.gradient.alternating import Loops, interpolated
from potstill.methods.gradient.dc import PUBLISHED_LOOPS, PUBLISHED_NETWORKS
from potstill.methods.gradient.distances import layerwise
from potstill.methods.inner_network import InnerNetwork
from potstill.methods.private import PrivateMethod
from potstill.methods.problem import Problem
from potstill.methods.state import SGD, State, descend
from potstill.networks import Network
from potstill.privacy import gaussian, poisson_sample
from potstill.runtime.bounds import at_least, below_one, positive
from potstill.runtime.errors import UserError
from potstill.schema.privacy import Privacy

CHUNK = 16
"""Images whose gradients are computed at a time: each has as many values as the network has parameters."""
NETWORK = "the network of psg"
"""The name under which a problem keeps it."""
PENDING, DRAWN = "pending", "drawn"
"""Names in the state: the noisy gradient that the next iteration matches, and how many have been drawn."""


@dataclass(frozen=True, kw_only=True)
class PSG(PrivateMethod):
    """Private set generation: match the gradients of a network on the set to noisy ones on real images.

    Dingfan Chen, Raouf Kerkouche and Mario Fritz, "Private Set Generation with Discriminative Information", NeurIPS
    2022. A private gradient is
    g = (sum_i clip(grad l(x_i; theta)) + sigma clip N(0, I)) / batch_real, clip(v) = v min(1, clip / ||v||), over
    images of all classes that are each included with probability batch_real / n. An iteration takes one step of the
    pixels on the layer-wise cosine distance of DC between g and the gradient of the whole set. The network is trained
    on the set after every ``batch_loops`` iterations, and drawn anew as in DC.

    The number of private gradients is fixed beforehand. Each is drawn at the end of the iteration before the one that
    matches it, and is in the checkpoint before it is used, so that an interrupted run never asks for it again.

    Attributes:
        queries: private gradients, one for each iteration; None uses the published number.
        batch_real: expected number of real images in each.
        clip: largest norm of the gradient of one image.
        batch_loops: iterations between two trainings of the network.
        learning_rate: step size for the synthetic pixels.
        momentum: momentum of the pixel updates.
        network_learning_rate: learning rate of the network.
    """

    name: ClassVar[str] = "psg"
    citation: ClassVar[Citation] = Citation(
        title="Private Set Generation with Discriminative Information",
        authors="Chen, Dingfan and Kerkouche, Raouf and Fritz, Mario",
        venue="Advances in Neural Information Processing Systems (NeurIPS)",
        year=2022,
        url="https://openreview.net/forum?id=mxnxRw8jiru",
        key="chen2022psg",
    )
    checkpoints_every_iteration: ClassVar[bool] = True

    queries: int | None = None
    batch_real: int = 256
    clip: float = 0.1
    batch_loops: int = 10
    learning_rate: float = 0.1
    momentum: float = 0.5
    network_learning_rate: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, queries=1, batch_real=1, batch_loops=1, network_learning_rate=0)
        positive(self, "learning_rate")
        below_one(self, "momentum")

    def resolved(self, images_per_class: int, dataset: str = "") -> Self:
        """A copy with the number of private gradients filled in."""
        resolved = super().resolved(images_per_class, dataset)
        return replace(resolved, queries=self.default_iterations(images_per_class))

    def default_iterations(self, images_per_class: int) -> int:
        """One for each private gradient."""
        published = PUBLISHED_NETWORKS * self.loops(images_per_class).outer * self.batch_loops
        return published if self.queries is None else self.queries

    def loops(self, images_per_class: int) -> Loops:
        """The loop lengths of DC, as published."""
        return interpolated(PUBLISHED_LOOPS, images_per_class)

    def images_per_iteration(self, classes: int, images_per_class: int) -> int:
        """The real batch and the synthetic images."""
        return self.batch_real + images_per_class * classes

    @property
    def query_count(self) -> int:
        """One private gradient for each iteration."""
        if self.queries is None:
            raise ValueError("the number of private gradients is not set: use the method that `resolved` returns")
        return self.queries

    def sampling_rates(self, class_sizes: Sequence[int]) -> list[float]:
        """The same for all classes.

        Raises:
            UserError: there are fewer images than the expected number.
        """
        if self.batch_real > sum(class_sizes):
            raise UserError(
                f"`batch_real={self.batch_real}` is more than the {sum(class_sizes)} training images",
                f"use `batch_real={sum(class_sizes)}` or less",
            )
        return [self.batch_real / sum(class_sizes)]

    def privacy(self, class_sizes: Sequence[int], iterations: int) -> Privacy:
        """The guarantee, which counts the private gradients of all iterations.

        Raises:
            UserError: there are more iterations than private gradients, or for the reasons of all private methods.
        """
        self._check_budget(iterations)
        return super().privacy(class_sizes, iterations)

    def _check_budget(self, iterations: int) -> None:
        if iterations > self.query_count:
            raise UserError(
                f"`iterations={iterations}` asks for more private gradients than the {self.query_count:,} that the "
                "guarantee counts",
                f"use `queries={iterations}`, which needs more noise",
            )

    def planned_bytes(self, problem: Problem) -> float:
        """What the gradients of single images, that of the whole set and the real images of a query take."""
        network, images = self._network(problem).weights.network, problem.class_count * problem.pictures_per_class
        real, at_once = problem.real_bytes(1, self.batch_real), min(CHUNK, self.batch_real)
        return memory.of_each_gradient(network, problem.compute, problem.real.shape, images, at_once, real)

    def prepare(self, problem: Problem) -> State:
        """The initial pixels, a new network and its first private gradient."""
        resolved = self.resolved(problem.images_per_class)
        network = self._network(problem)
        network.redraw(problem.streams.child("iteration", 0).generator("network"))
        state = SGD(self.learning_rate, self.momentum).init("images", problem.start_images)
        state |= network.stored() | {DRAWN: torch.zeros((), dtype=torch.int64)}
        return resolved._drawn(problem, network, state)

    def step(self, problem: Problem, state: State, iteration: int) -> tuple[State, float]:
        """Match the pending private gradient, train or redraw the network, and draw the next one.

        Args:
            problem: the distillation problem.
            state: pixels, momentum, the network, the pending private gradient and the number of those drawn.
            iteration: index of this iteration, counted from 0.

        Returns:
            The next state, and the loss before this step.
        """
        resolved = self.resolved(problem.images_per_class)
        resolved._check_budget(iteration + 1)
        network = self._network(problem)
        network.restore(state)
        images, labels = self.decoded(problem, state)
        loss, gradient = _matched(network.weights.network, images, labels, state[PENDING])
        gradients = self.pullback(problem, state, {"images": gradient})
        state = descend(state, gradients, {"images": SGD(self.learning_rate, self.momentum)}, iteration)
        self._go_on(problem, network, state, iteration + 1)
        return resolved._drawn(problem, network, state | network.stored()), loss

    def _go_on(self, problem: Problem, network: InnerNetwork, state: State, iteration: int) -> None:
        """Make the network the one of the next iteration: the same, trained on the set, or a new one."""
        loops = self.loops(problem.images_per_class)
        streams = problem.streams.child("iteration", iteration)
        if iteration % (self.batch_loops * loops.outer) == 0:
            network.redraw(streams.generator("network"))
        elif iteration % self.batch_loops == 0:
            images, labels = self.decoded(problem, state)
            network.train(
                images,
                labels,
                streams.child("training"),
                steps=loops.inner * math.ceil(len(images) / 256),
                batch=256,
                learning_rate=self.network_learning_rate,
            )

    def _drawn(self, problem: Problem, network: InnerNetwork, state: State) -> State:
        """The state with the next private gradient; without one, if all of them have been drawn."""
        drawn = int(state[DRAWN])
        if drawn >= self.query_count:
            return {**state, PENDING: torch.zeros_like(state[PENDING])}
        promised = self.privacy(problem.real.class_sizes, 0)
        exact = self._sum(problem, network.weights.network)
        noisy = exact + self.clip * promised.noise_multiplier * gaussian(len(exact))
        pending = (noisy / self.batch_real).to(state["images"])
        return {**state, PENDING: pending, DRAWN: torch.tensor(drawn + 1)}

    def _sum(self, problem: Problem, network: Network) -> Tensor:
        """The sum of the clipped gradients of some real images, without noise: float64 (P,), on the CPU."""
        parameters = {name: parameter.detach() for name, parameter in network.named_parameters()}
        total = torch.zeros(sum(each.numel() for each in parameters.values()), dtype=torch.float64)
        (rate,) = self.sampling_rates(problem.real.class_sizes)
        chosen = poisson_sample(len(problem.real), rate).to(problem.real.device)
        dtype = next(iter(parameters.values())).dtype

        def loss(inner: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
            return F.cross_entropy(functional_call(network, inner, (image[None],)), label[None])

        of_each = vmap(grad(loss), in_dims=(None, 0, 0))
        for part, images in problem.real_parts(chosen):
            labels = problem.real.labels[chosen[part]]
            for some, theirs in zip(images.split(CHUNK), labels.split(CHUNK), strict=True):
                found = of_each(parameters, some.to(dtype).contiguous(), theirs)
                flat = torch.cat([each.flatten(1) for each in found.values()], dim=1)
                flat = flat.cpu().double().nan_to_num(0, 0, 0)
                total += (self.clip / flat.norm(dim=1).clamp_min(self.clip)) @ flat
        return total

    def _network(self, problem: Problem) -> InnerNetwork:
        def make() -> InnerNetwork:
            network = problem.build_network(problem.streams.generator("network"))
            return InnerNetwork(ChunkedNetwork(network, problem.compute))

        return problem.cached(NETWORK, make)


def _matched(network: Network, images: Tensor, labels: Tensor, target: Tensor) -> tuple[float, Tensor]:
    """The layer-wise distance between the gradient of all images and a private one, and its gradient.

    Args:
        network: the network, with the parameters of this iteration.
        images: (N, C, H, W).
        labels: int64 (N,).
        target: the private gradient of all parameters, one after another, (P,).

    Returns:
        The distance, and the gradient (N, C, H, W).
    """
    parameters = [parameter.requires_grad_(True) for parameter in network.parameters()]
    images = images.detach().requires_grad_()
    ours = torch.autograd.grad(F.cross_entropy(network(images), labels), parameters, create_graph=True)
    parts = target.split([parameter.numel() for parameter in parameters])
    theirs = [part.view_as(parameter) for part, parameter in zip(parts, parameters, strict=True)]
    distance = layerwise(theirs, ours)
    return distance.item(), torch.autograd.grad(distance, images)[0]
