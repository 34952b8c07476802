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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, grad_and_value

from potstill.engine.chunked import Batch
from potstill.engine.layout import channels_last_images, channels_last_weights, is_compiled, part_size
from potstill.networks import Network
from potstill.runtime.compilation import CompiledKinds, compiled
from potstill.runtime.compute import Compute
from potstill.runtime.parallel import parallel_map

Parameters = list[Tensor]
"""In the order of ``network.parameters()``."""

Keep = Literal["graphs", "steps", "roots"]
"""What is kept of S steps for the backward pass.

``graphs``: everything that autograd would keep; the fastest, unless the other two are compiled, which this never is.
Memory grows with S times the activations of a step.
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
class Graph:
    """Some images of a step with their share of its gradient, which autograd can differentiate.

    Attributes:
        images: (n, C, H, W), a leaf of the graph.
        labels: int64 (n,) classes, or probabilities (n, classes), a leaf of the graph.
        parameters: the parameters of the step, leaves of the graph.
        gradient: the share for each parameter.
    """

    images: Tensor
    labels: Tensor
    parameters: Parameters
    gradient: tuple[Tensor, ...]


class Through(NamedTuple):
    """The gradients of <g_s, lambda> for some images of a step, and its value.

    Attributes:
        images: (n, C, H, W).
        labels: (n, classes), or None if the labels are classes.
        parameters: for each parameter; none if they were not asked for.
        product: <g_s, lambda> itself, a scalar.
    """

    images: Tensor
    labels: Tensor | None
    parameters: Parameters
    product: Tensor


class Unroller:
    """Trains a network for a few steps, differentiably.

    It computes in the dtype of the given parameters and images, which is float32 or better.

    Args:
        network: the architecture; its own parameters are not used.
        compute: the device, and whether to compile. A lower precision than float32 is ignored: second derivatives need
            float32.
        keep: what is kept for the backward pass.
    """

    def __init__(self, network: Network, compute: Compute, *, keep: Keep = "steps") -> None:
        dtype = compute.precise.dtype  # of buffers; parameters are given
        self._module = copy.deepcopy(network).to(compute.device, dtype).requires_grad_(False).train()
        self._names = [name for name, _ in network.named_parameters()]
        self._device = compute.device
        self._own = threading.local()
        self.keep: Keep = keep
        # Batch norms write to their running statistics: they are left to autograd.
        self._compiles = keep != "graphs" and is_compiled(network, compute) and not network.needs_whole_batches
        self._kinds = CompiledKinds(self._compiles)
        of = partial(_loss, self._module, self._names)
        if self._compiles:
            self._gradient: Any = compiled(partial(_gradient, of), compute.precise, whole=True)
            self._through: Any = compiled(partial(_through, of), compute.precise, whole=True)

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
        parameters = [arranged(tensor.detach()) for tensor in start]
        kept: dict[int, Parameters] = {}
        graphs: dict[int, list[Graph]] = {}
        for step, (batch, rate) in enumerate(zip(batches, rates, strict=True)):
            if step % stride == 0:
                kept[step] = parameters
            if self.keep == "graphs":
                graphs[step] = self.graphs(parameters, batch)
                shares = [part.gradient for part in graphs[step]]
            else:
                shares = self.shares(parameters, batch)
            parameters = _descended(parameters, shares, rate)
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
            found.append(_descended(found[-1], self.shares(found[-1], batch), rate))
        return found

    def shares(self, parameters: Parameters, batch: Batch) -> list[Sequence[Tensor]]:
        """The share of each part of a batch in the gradient of its mean cross-entropy.

        Args:
            parameters: those before the step.
            batch: images (n, C, H, W), and int64 (n,) classes or probabilities (n, classes).
        """
        count = len(batch[0])

        @torch.no_grad()
        def of_part(part: Batch) -> Sequence[Tensor]:
            return self._gradient(parameters, *part, count)

        if not self._compiles:
            return [part.gradient for part in self._parts_by_autograd(parameters, batch, with_graph=False)]
        return self._kinds.map(of_part, self._split(batch), lambda part: ("gradient", len(part[0]), count))

    def graphs(self, parameters: Parameters, batch: Batch) -> list[Graph]:
        """The same with graphs; see :meth:`shares`."""
        return self._parts_by_autograd(parameters, batch, with_graph=True)

    def through(
        self, parameters: Parameters, batch: Batch, back: Parameters, graphs: list[Graph] | None, *, exact: bool
    ) -> Through:
        """The gradients of <g_s, lambda> with respect to everything that g_s depends on.

        Args:
            parameters: those before the step.
            batch: images (n, C, H, W), and int64 (n,) classes or probabilities (n, classes).
            back: lambda, for each parameter.
            graphs: those of the step, if they were kept.
            exact: whether the parameters are among what it depends on.
        """
        if self._compiles:
            found = self._through_compiled(parameters, batch, back, exact)
        else:
            parts = graphs or self.graphs(parameters, batch)
            found = parallel_map(lambda part: _through_graph(part, back, exact), parts)
        labels = [part.labels for part in found if part.labels is not None]
        sums = [torch.zeros_like(outer) for outer in back] if exact else []
        for part in found:
            for total, share in zip(sums, part.parameters, strict=True):
                total += share
        return Through(
            images=torch.cat([part.images for part in found]),
            labels=torch.cat(labels) if labels else None,
            parameters=sums,
            product=torch.stack([part.product for part in found]).sum(),
        )

    def _through_compiled(self, parameters: Parameters, batch: Batch, back: Parameters, exact: bool) -> list[Through]:
        count, soft = len(batch[0]), batch[1].is_floating_point()
        wanted = (0, *([1] if soft else []), *([2] if exact else []))

        @torch.no_grad()
        def of_part(part: Batch) -> Through:
            gradients, product = self._through(wanted, *part, parameters, back, count)
            found: dict[int, Any] = dict(zip(wanted, gradients, strict=True))
            return Through(found[0], found.get(1), found.get(2, []), product)

        return self._kinds.map(of_part, self._split(batch), lambda part: (wanted, len(part[0]), count))

    def _parts_by_autograd(self, parameters: Parameters, batch: Batch, *, with_graph: bool) -> list[Graph]:
        count = len(batch[0])
        leaves = [tensor.detach().requires_grad_() for tensor in parameters]

        def of_part(part: Batch) -> Graph:
            images, labels = (tensor.detach() for tensor in part)
            if with_graph:
                images.requires_grad_()
                labels.requires_grad_(labels.is_floating_point())
            if not hasattr(self._own, "module"):
                self._own.module = copy.deepcopy(self._module)  # a functional call puts parameters into the module
            with torch.enable_grad():
                loss = _loss(self._own.module, self._names, leaves, images, labels, count)
                return Graph(images, labels, leaves, torch.autograd.grad(loss, leaves, create_graph=with_graph))

        return parallel_map(of_part, self._split(batch))

    def _split(self, batch: Batch) -> list[Batch]:
        images, labels = channels_last_images(batch[0].detach()), batch[1].detach()
        size = part_size(images, self._module, self._device)
        return list(zip(images.split(size), labels.split(size), strict=True))


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
    graphs: dict[int, list[Graph]]

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
        back, ends = [arranged(tensor) for tensor in gradient], [*sorted(self.kept)[1:], len(self.batches)]
        for first, end in reversed(list(zip(sorted(self.kept), ends, strict=True))):
            before = self.unroller.between(self.kept[first], self.batches[first:end], self.rates[first:end])
            for step in reversed(range(first, end)):
                found = self.unroller.through(
                    before.pop(), self.batches[step], back, self.graphs.get(step), exact=exact
                )
                rate = self.rates[step].detach()
                images.append(-rate * found.images)
                labels.append(None if found.labels is None else -rate * found.labels)
                of_rates.append(-found.product)
                if exact:
                    back = [arranged(outer - rate * i) for outer, i in zip(back, found.parameters, strict=True)]
        return UnrolledGradients(images[::-1], labels[::-1], torch.stack(of_rates[::-1]), back)


def arranged(weights: Tensor) -> Tensor:
    """``weights`` in the order in which convolutions are fastest, with the same strides for all of one shape.

    Other strides would be another kind of input for compiled code.
    """
    return channels_last_weights(weights) if weights.dim() == 4 else weights.contiguous()


def _loss(
    module: nn.Module, names: Sequence[str], parameters: Parameters, images: Tensor, labels: Tensor, count: int
) -> Tensor:
    """The share of some images in the mean cross-entropy of a batch of ``count`` images."""
    logits = functional_call(module, dict(zip(names, parameters, strict=True)), (images,))
    return F.cross_entropy(logits, labels, reduction="sum") / count


def _gradient(
    loss: Callable[..., Tensor], parameters: Parameters, images: Tensor, labels: Tensor, count: int
) -> list[Tensor]:
    """The gradient of a loss with respect to the parameters."""
    return grad(loss)(parameters, images, labels, count)


def _through(
    loss: Callable[..., Tensor],
    wanted: tuple[int, ...],
    images: Tensor,
    labels: Tensor,
    parameters: Parameters,
    back: Parameters,
    count: int,
) -> tuple[tuple[Any, ...], Tensor]:
    """The gradients of <g, back> with respect to what is wanted of (images, labels, parameters); and <g, back>."""

    def product(images: Tensor, labels: Tensor, parameters: Parameters) -> Tensor:
        # A derivative of the loss in the direction ``back`` would save a ninth of the work, but PyTorch 2.13
        # differentiates the tangent of a layer norm wrongly.
        gradient = grad(loss)(parameters, images, labels, count)
        return torch.stack([(g * outer).sum() for g, outer in zip(gradient, back, strict=True)]).sum()

    return grad_and_value(product, argnums=wanted)(images, labels, parameters)


def _through_graph(part: Graph, back: Parameters, exact: bool) -> Through:
    """The same from a graph of autograd's."""
    soft = part.labels.is_floating_point()
    with torch.enable_grad():
        product = torch.stack([(g * outer).sum() for g, outer in zip(part.gradient, back, strict=True)]).sum()
    wanted = [part.images, *([part.labels] if soft else []), *(part.parameters if exact else [])]
    found = torch.autograd.grad(product, wanted, allow_unused=True)
    gradients = [torch.zeros_like(of) if g is None else g for g, of in zip(found, wanted, strict=True)]
    return Through(gradients[0], gradients[1] if soft else None, gradients[1 + soft :], product.detach())


@torch.no_grad()
def _descended(parameters: Parameters, shares: Sequence[Sequence[Tensor]], rate: Tensor) -> Parameters:
    """theta - a g, with g the sum of the shares of the parts in order."""
    moved = []
    for place, tensor in enumerate(parameters):
        gradient = shares[0][place]
        for share in shares[1:]:
            gradient = gradient + share[place]
        moved.append(arranged(tensor.detach() - rate.detach() * gradient))
    return moved
