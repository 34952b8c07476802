"""Networks that are trained together: each operation of a step is a single one for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call, grad, vmap

from potstill.engine.layout import is_compiled
from potstill.engine.trainer import Trainer
from potstill.networks import InitialWeights, Network
from potstill.runtime.compilation import compiled
from potstill.runtime.compute import Compute
from potstill.runtime.streams import Streams


class StackedNetworks:
    """Networks of one architecture with stacked weights, trained in step.

    They are for devices that one network does not occupy. Each network learns what it would learn alone, up to
    rounding. The maps of all networks are in memory at once.

    Args:
        network: one network of that architecture.
        compute: device, precision and compilation; with batch norms the precision is at least float32.
        count: the number of networks.

    Attributes:
        network: the given network, on its device.
        compute: as given, with the precision that is used.
        weights: for each parameter (count, ...), what an optimiser updates, in float32 or better.
    """

    def __init__(self, network: Network, compute: Compute, count: int) -> None:
        if network.needs_whole_batches and compute.precision == "bfloat16":
            compute = replace(compute, precision="float32")  # vmap has no rule for a batch norm in two precisions
        self._member = Trainer(network, compute)
        self.network = self._member.network
        self.compute = compute
        self.weights = [torch.cat([weight] * count) for weight in self._member.weights]
        self._computing = self._in_low_precision()
        self._buffers = {name: torch.stack([buffer] * count) for name, buffer in self.network.named_buffers()}
        self._eager_step: Callable[..., Any] = vmap(grad(self._loss, has_aux=True))
        self._step = compiled(self._eager_step, compute) if is_compiled(self.network, compute) else self._eager_step

    def begin(self, initial: InitialWeights, streams: Sequence[Streams]) -> None:
        """Set the initial weights of each network from its stream."""
        for place, own in enumerate(streams):
            self._member.begin(initial, [own])
            for all_of, weight in zip(self.weights, self._member.weights, strict=True):
                all_of[place] = weight[0]
            for name, buffer in self.network.named_buffers():
                self._buffers[name][place] = buffer
        self.hand_over()

    def gradients(self, images: Tensor, labels: Tensor, *, eager: bool = False) -> tuple[Tensor, list[Tensor]]:
        """The loss and the gradients of each network on its batch, as in :class:`~potstill.engine.fit.Learners`.

        Args:
            images: (count, n, C, H, W).
            labels: int64 (count, n) classes, or probabilities (count, n, classes).
            eager: whether to run without compiled code.

        Returns:
            The summed losses (count,); and for each of ``weights`` the gradients (count, ...) of the mean losses.
        """
        images = images.to(self.compute.device, self.compute.dtype).contiguous()  # as vmap requires
        step = self._eager_step if eager else self._step
        gradients, losses = step(self._computing, self._buffers, images, labels)
        return losses, [gradients[name].to(own.dtype) for name, own in zip(self._computing, self.weights, strict=True)]

    def hand_over(self) -> None:
        """Copy ``weights`` to what the networks compute with."""
        self._computing = self._in_low_precision()

    def members(self) -> Iterator[Trainer]:
        """Each network in turn with its current weights; it is valid until the next one is requested."""
        for place in range(len(self.weights[0])):
            for all_of, weight in zip(self.weights, self._member.weights, strict=True):
                weight[0] = all_of[place]
            for name, buffer in self.network.named_buffers():
                buffer.copy_(self._buffers[name][place])
            self._member.hand_over()
            yield self._member

    def _in_low_precision(self) -> dict[str, Tensor]:
        """What the networks compute with, by name: the weights, rounded if the precision is lower."""
        named = self.network.named_parameters()
        return {name: all_of.to(own.dtype) for (name, own), all_of in zip(named, self.weights, strict=True)}

    def _loss(
        self, parameters: dict[str, Tensor], buffers: dict[str, Tensor], images: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The mean loss of one network on its batch, and the sum of losses beside it."""
        logits = functional_call(self.network, (parameters, buffers), (images,))
        wide = logits.float() if logits.dtype == torch.bfloat16 else logits
        total = F.cross_entropy(wide, labels, reduction="sum")
        return total / len(images), total.detach()
