"""A network that is kept for several iterations and trained on the synthetic set in between."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor

from potstill.augmentation import NO_AUGMENTATION, SiameseAugmentation
from potstill.engine.chunked import ChunkedNetwork
from potstill.engine.layout import MasterWeights
from potstill.methods.state import State
from potstill.runtime.streams import Streams

STORED, VELOCITY = "network.", "velocity."
"""Prefixes of the names of the network's parameters, and of their velocities, in the state."""


class InnerNetwork:
    """A network whose parameters are drawn, trained, and stored in the state between iterations.

    The object itself carries nothing between iterations: ``stored`` returns the parameters for the state.

    Args:
        chunked: the network, on its device.
        momentum: of the SGD by which it is trained; its velocities are stored too.
        weight_decay: of this SGD.
    """

    def __init__(self, chunked: ChunkedNetwork, *, momentum: float = 0.0, weight_decay: float = 0.0) -> None:
        self.chunked = chunked
        self.network = chunked.network.train()
        self.weights = MasterWeights(self.network)
        self._momentum, self._weight_decay = momentum, weight_decay
        self._velocities = {name: torch.zeros_like(w) for name, w in self.weights.named.items()} if momentum else {}

    def redraw(self, generator: torch.Generator) -> None:
        """Re-initialise the parameters."""
        self.network.initialise(generator)
        self.weights.take_over()
        for velocity in self._velocities.values():
            velocity.zero_()

    def restore(self, state: State) -> None:
        """Load the parameters that ``stored`` returned from the state."""
        self.weights.restore({name.removeprefix(STORED): tensor for name, tensor in state.items()})
        for name, velocity in self._velocities.items():
            velocity.copy_(state[f"{VELOCITY}{name}"])

    def stored(self) -> State:
        """A copy of the parameters, as entries of the state."""
        parameters = {f"{STORED}{name}": weight.detach().clone() for name, weight in self.weights.named.items()}
        return parameters | {f"{VELOCITY}{name}": velocity.clone() for name, velocity in self._velocities.items()}

    def train(
        self,
        images: Tensor,
        labels: Tensor,
        streams: Streams,
        *,
        steps: int,
        batch: int,
        learning_rate: float,
        augmentation: SiameseAugmentation = NO_AUGMENTATION,
    ) -> None:
        """Train the network by SGD on the mean cross-entropy of labelled images.

        Args:
            images: (N, C, H, W).
            labels: int64 (N,) classes, or probabilities (N, classes).
            streams: random streams for the order of the images and the augmentation.
            steps: number of steps; each epoch visits all images in a new order.
            batch: images per step.
            learning_rate: step size.
            augmentation: the augmentation; each step applies one operation, with parameters drawn for each image.
        """
        device = self.chunked.compute.device
        for step, chosen in enumerate(islice(batches(len(images), batch, streams), steps)):
            some = images.detach()[chosen.to(device, non_blocking=True)]
            draw = augmentation.draw(streams.generator("augmentation", step), len(chosen), one_operation=True)
            self.descend(augmentation.apply(some, draw), labels[chosen], learning_rate)

    @torch.no_grad()
    def descend(self, images: Tensor, labels: Tensor, learning_rate: float) -> None:
        """One step of SGD on the mean cross-entropy of a batch.

        Args:
            images: (n, C, H, W), augmented.
            labels: int64 (n,) classes, or probabilities (n, classes).
            learning_rate: step size.
        """
        self.network.train()
        with torch.enable_grad():
            [(_, gradients)] = self.chunked.loss_gradients([(images, labels)])
        for (name, weight), gradient in zip(self.weights.named.items(), gradients, strict=True):
            step = gradient + self._weight_decay * weight if self._weight_decay else gradient
            if self._momentum:
                step = self._velocities[name].mul_(self._momentum).add_(step)
            weight -= learning_rate * step
        self.weights.hand_over()


def batches(count: int, size: int, streams: Streams) -> Iterator[Tensor]:
    """Yield batches of indices without end; each epoch visits all of them in a new random order.

    Args:
        count: number of indices.
        size: indices per batch; the last batch of an epoch may be smaller.
        streams: random streams; the order of epoch e comes from its generator ``order``, e.

    Returns:
        An endless iterator of int64 (n,) with n <= ``size``.
    """
    epoch = 0
    while True:
        yield from torch.randperm(count, generator=streams.generator("order", epoch)).split(size)
        epoch += 1
