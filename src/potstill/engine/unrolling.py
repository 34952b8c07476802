"""Steps of gradient descent, and the way back through them: exact, in parts, with as much memory as one likes.

theta_{s+1} = theta_s - a_s g_s(theta_s),  g_s = the gradient of the mean cross-entropy of batch s.

With lambda_s = dL/dtheta_s the way back is lambda_s = lambda_{s+1} - a_s H_s lambda_{s+1}, H_s the Hessian. All that is
needed of a step is the gradient of <g_s, lambda_{s+1}> with respect to theta_s, images and labels, so that no more than
one step's graph must be there at a time (Maclaurin et al., "Gradient-based Hyperparameter Optimization through
Reversible Learning", ICML 2015, go back in the same way through momentum).
"""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from potstill.engine.chunked import Batch
from potstill.engine.layout import part_size
from potstill.networks import Network
from potstill.runtime.compute import Compute
from potstill.runtime.parallel import parallel_map

Parameters = list[Tensor]
"""In the order of ``network.parameters()``."""

Keep = Literal["graphs", "steps", "roots"]
"""What is kept of S steps for the way back.

``graphs``: everything that autograd would keep; the fastest, and its memory grows with S times a step's activations.
``steps``: the parameters of each step; its graph is made again. Memory grows with S times the parameters.
``roots``: the parameters of every √S-th step, from which those between are made again: √S times the parameters.
"""


@dataclass(frozen=True)
class UnrolledGradients:
    """The gradients of a loss of the last parameters with respect to all that they were made from.

    Attributes:
        images: for each step (n, C, H, W).
        labels: for each step (n, classes), or None where the labels were classes.
        rates: (S,).
        start: for each parameter.
    """

    images: list[Tensor]
    labels: list[Tensor | None]
    rates: Tensor
    start: Parameters


@dataclass(frozen=True)
class Part:
    """Some images of a step with their share of its gradient: leaves, and the graph of the gradient if it was kept."""

    images: Tensor
    labels: Tensor
    parameters: Parameters
    gradient: tuple[Tensor, ...]


class Unroller:
    """A network that is trained a few steps at a time, differentiably.

    It computes in the dtype of the parameters and images that it is given: float32 or better.

    Args:
        network: gives the architecture; its own parameters play no part.
        compute: the device. Its precision is for other uses: second derivatives need float32.
        keep: what is kept for the way back.
    """

    def __init__(self, network: Network, compute: Compute, *, keep: Keep = "steps") -> None:
        dtype = compute.precise.dtype  # of buffers: parameters are given
        self._module = copy.deepcopy(network).to(compute.device, dtype).requires_grad_(False).train()
        self._names = [name for name, _ in network.named_parameters()]
        self._device = compute.device
        self._own = threading.local()
        self.keep: Keep = keep

    def logits(self, parameters: Sequence[Tensor], images: Tensor) -> Tensor:
        """The logits of ``images`` under ``parameters``; may be called from several threads."""
        if not hasattr(self._own, "module"):
            self._own.module = copy.deepcopy(self._module)  # a functional call puts parameters into the module
        return functional_call(self._own.module, dict(zip(self._names, parameters, strict=True)), (images,))

    def unroll(
        self, start: Sequence[Tensor], batches: Sequence[Batch], rates: Sequence[Tensor]
    ) -> tuple[Parameters, Pullback]:
        """Take one step of gradient descent for each batch.

        Args:
            start: theta_0.
            batches: of each step; labels are classes int64 (n,) or probabilities (n, classes).
            rates: a_s of each step, scalars.

        Returns:
            theta_S without a graph, and the function from dL/dtheta_S to the gradients of all that it was made from.
        """
        stride = math.isqrt(max(len(batches) - 1, 0)) + 1 if self.keep == "roots" else 1
        parameters = [tensor.detach() for tensor in start]
        kept: dict[int, Parameters] = {}
        graphs: dict[int, list[Part]] = {}
        for step, (batch, rate) in enumerate(zip(batches, rates, strict=True)):
            if step % stride == 0:
                kept[step] = parameters
            parts = self.parts(parameters, batch, with_graph=self.keep == "graphs")
            if self.keep == "graphs":
                graphs[step] = parts
            parameters = _descended(parameters, parts, rate)
        return parameters, Pullback(self, batches, rates, kept, graphs)

    def between(self, parameters: Parameters, batches: Sequence[Batch], rates: Sequence[Tensor]) -> list[Parameters]:
        """The parameters before each step, from those before the first."""
        found = [parameters]
        for batch, rate in zip(batches[:-1], rates[:-1], strict=True):
            found.append(_descended(found[-1], self.parts(found[-1], batch, with_graph=False), rate))
        return found

    def parts(self, parameters: Parameters, batch: Batch, *, with_graph: bool) -> list[Part]:
        """The shares of each part of a batch in the gradient of its mean cross-entropy."""
        images, labels = batch
        size = part_size(images, self._module, self._device)
        leaves = [tensor.detach().requires_grad_() for tensor in parameters]

        def of_part(some: tuple[Tensor, Tensor]) -> Part:
            pixels, targets = (tensor.detach() for tensor in some)
            if with_graph:
                pixels.requires_grad_()
                targets.requires_grad_(targets.is_floating_point())
            with torch.enable_grad():
                loss = F.cross_entropy(self.logits(leaves, pixels), targets, reduction="sum") / len(images)
                return Part(pixels, targets, leaves, torch.autograd.grad(loss, leaves, create_graph=with_graph))

        return parallel_map(of_part, zip(images.split(size), labels.split(size), strict=True))


@dataclass(frozen=True)
class Pullback:
    """From the gradient dL/dtheta_S to the gradients with respect to all that theta_S was made from.

    Attributes:
        kept: by step, the parameters before it.
        graphs: by step, the graph of its gradient, where that was kept.
    """

    unroller: Unroller
    batches: Sequence[Batch]
    rates: Sequence[Tensor]
    kept: dict[int, Parameters]
    graphs: dict[int, list[Part]]

    def __call__(self, gradient: Sequence[Tensor], *, exact: bool = True) -> UnrolledGradients:
        """Go back through all steps; ``graphs`` can be gone through once.

        Args:
            gradient: dL/dtheta_S.
            exact: whether lambda changes on the way; else each step is taken to move theta_S alone, and not the
                gradients of later steps: that is not the gradient of L (it is TESLA's).
        """
        images: list[Tensor] = []
        labels: list[Tensor | None] = []
        of_rates: list[Tensor] = []
        back, ends = list(gradient), [*sorted(self.kept)[1:], len(self.batches)]
        for first, end in reversed(list(zip(sorted(self.kept), ends, strict=True))):
            before = self.unroller.between(self.kept[first], self.batches[first:end], self.rates[first:end])
            for step in reversed(range(first, end)):
                parts = self.graphs.get(step) or self.unroller.parts(before.pop(), self.batches[step], with_graph=True)
                of_images, of_labels, of_parameters, product = _through(parts, back, exact)
                rate = self.rates[step].detach()
                images.append(-rate * of_images)
                labels.append(None if of_labels is None else -rate * of_labels)
                of_rates.append(-product)
                if exact:
                    back = [outer - rate * inner for outer, inner in zip(back, of_parameters, strict=True)]
        return UnrolledGradients(images[::-1], labels[::-1], torch.stack(of_rates[::-1]), back)


def _through(
    parts: list[Part], back: Parameters, with_parameters: bool
) -> tuple[Tensor, Tensor | None, Parameters, Tensor]:
    """The gradients of <g, back> with respect to images, labels and, if wanted, parameters, and <g, back> itself."""
    soft = parts[0].labels.is_floating_point()

    def of_part(part: Part) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        with torch.enable_grad():
            products = [(g * outer).sum() for g, outer in zip(part.gradient, back, strict=True)]
            product = torch.stack(products).sum()
        wanted = [part.images, *([part.labels] if soft else []), *(part.parameters if with_parameters else [])]
        return product.detach(), torch.autograd.grad(product, wanted, allow_unused=True)

    found = parallel_map(of_part, parts)
    of_images = torch.cat([_or_zeros(g[0], part.images) for (_, g), part in zip(found, parts, strict=True)])
    of_labels = None
    if soft:
        of_labels = torch.cat([_or_zeros(g[1], part.labels) for (_, g), part in zip(found, parts, strict=True)])
    sums = [torch.zeros_like(outer) for outer in back] if with_parameters else []
    for _, gradients in found:
        for total, share in zip(sums, gradients[1 + soft :], strict=True):
            if share is not None:
                total += share
    return of_images, of_labels, sums, torch.stack([product for product, _ in found]).sum()


def _or_zeros(gradient: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if gradient is None else gradient


@torch.no_grad()
def _descended(parameters: Parameters, parts: Sequence[Part], rate: Tensor) -> Parameters:
    """theta - a g, g the sum of the parts' shares in their order."""
    moved = []
    for place, tensor in enumerate(parameters):
        gradient = parts[0].gradient[place]
        for part in parts[1:]:
            gradient = gradient + part.gradient[place]
        moved.append(tensor.detach() - rate.detach() * gradient)
    return moved
