"""Steps of gradient descent, and the exact gradient through them, in parts and with a choice of memory use.

theta_{s+1} = theta_s - a_s g_s(theta_s),  g_s = the gradient of the mean cross-entropy of batch s.

With lambda_s = dL/dtheta_s, the backward pass is lambda_s = lambda_{s+1} - a_s H_s lambda_{s+1}, where H_s is the
Hessian. A step needs only the gradient of <g_s, lambda_{s+1}> with respect to theta_s, images and labels, so that the
graph of one step at a time is enough (Maclaurin et al., "Gradient-based Hyperparameter Optimization through Reversible
Learning", ICML 2015, differentiate through momentum in the same way).
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
"""What is kept of S steps for the backward pass.

``graphs``: everything that autograd would keep; the fastest. Memory grows with S times the activations of a step.
``steps``: the parameters of each step, from which its graph is recomputed. Memory grows with S times the parameters.
``roots``: the parameters of every √S-th step, from which the others are recomputed. Memory grows with √S times the
parameters.
"""


@dataclass(frozen=True)
class UnrolledGradients:
    """The gradients of a loss of the final parameters with respect to everything that they depend on.

    Attributes:
        images: for each step (n, C, H, W).
        labels: for each step (n, classes), or None if the labels are classes.
        rates: (S,).
        start: for each parameter, with respect to theta_0.
    """

    images: list[Tensor]
    labels: list[Tensor | None]
    rates: Tensor
    start: Parameters


@dataclass(frozen=True)
class Part:
    """Some images of a step with their share of its gradient.

    Attributes:
        images: (n, C, H, W), a leaf of the graph.
        labels: int64 (n,) classes, or probabilities (n, classes), a leaf of the graph.
        parameters: the parameters of the step, leaves of the graph.
        gradient: the share for each parameter, with its graph if that was kept.
    """

    images: Tensor
    labels: Tensor
    parameters: Parameters
    gradient: tuple[Tensor, ...]


class Unroller:
    """Trains a network for a few steps, differentiably.

    It computes in the dtype of the given parameters and images, which is float32 or better.

    Args:
        network: the architecture; its own parameters are not used.
        compute: the device. A lower precision than float32 is ignored: second derivatives need float32.
        keep: what is kept for the backward pass.
    """

    def __init__(self, network: Network, compute: Compute, *, keep: Keep = "steps") -> None:
        dtype = compute.precise.dtype  # of buffers; parameters are given
        self._module = copy.deepcopy(network).to(compute.device, dtype).requires_grad_(False).train()
        self._names = [name for name, _ in network.named_parameters()]
        self._device = compute.device
        self._own = threading.local()
        self.keep: Keep = keep

    def logits(self, parameters: Sequence[Tensor], images: Tensor) -> Tensor:
        """The logits (N, classes) of ``images`` (N, C, H, W) under ``parameters``; callable from several threads."""
        if not hasattr(self._own, "module"):
            self._own.module = copy.deepcopy(self._module)  # a functional call puts parameters into the module
        return functional_call(self._own.module, dict(zip(self._names, parameters, strict=True)), (images,))

    def unroll(
        self, start: Sequence[Tensor], batches: Sequence[Batch], rates: Sequence[Tensor]
    ) -> tuple[Parameters, Pullback]:
        """Take one step of gradient descent for each batch.

        Args:
            start: theta_0.
            batches: the batch of each step; labels are int64 (n,) classes or probabilities (n, classes).
            rates: the learning rate a_s of each step, a scalar.

        Returns:
            theta_S without a graph; and the function from dL/dtheta_S to the gradients with respect to everything that
            theta_S depends on.
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
        """Recompute the parameters before each of some consecutive steps.

        Args:
            parameters: those before the first step.
            batches: the batch of each step.
            rates: the learning rate of each step, a scalar.
        """
        found = [parameters]
        for batch, rate in zip(batches[:-1], rates[:-1], strict=True):
            found.append(_descended(found[-1], self.parts(found[-1], batch, with_graph=False), rate))
        return found

    def parts(self, parameters: Parameters, batch: Batch, *, with_graph: bool) -> list[Part]:
        """The share of each part of a batch in the gradient of its mean cross-entropy.

        Args:
            parameters: those before the step.
            batch: images (n, C, H, W), and int64 (n,) classes or probabilities (n, classes).
            with_graph: whether the gradient can be differentiated.
        """
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
    """From dL/dtheta_S to the gradients with respect to everything that theta_S depends on.

    Attributes:
        unroller: what the steps were taken with.
        batches: the batch of each step.
        rates: the learning rate of each step, a scalar.
        kept: the parameters before a step, for the steps where they were kept.
        graphs: the parts of a step with their graphs, for the steps where they were kept.
    """

    unroller: Unroller
    batches: Sequence[Batch]
    rates: Sequence[Tensor]
    kept: dict[int, Parameters]
    graphs: dict[int, list[Part]]

    def __call__(self, gradient: Sequence[Tensor], *, exact: bool = True) -> UnrolledGradients:
        """Go back through all steps; kept graphs can be used only once.

        Args:
            gradient: dL/dtheta_S.
            exact: whether to update lambda at each step. Otherwise a step is taken to affect theta_S directly, but not
                the gradients of later steps; this is TESLA's gradient, not that of L.
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
    """The gradients of <g, back> with respect to images, labels and, if requested, parameters; and <g, back> itself."""
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
    """theta - a g, with g the sum of the shares of the parts in order."""
    moved = []
    for place, tensor in enumerate(parameters):
        gradient = parts[0].gradient[place]
        for part in parts[1:]:
            gradient = gradient + part.gradient[place]
        moved.append(tensor.detach() - rate.detach() * gradient)
    return moved
