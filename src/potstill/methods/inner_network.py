"""What methods have in common whose network lives several iterations and is trained on the synthetic set meanwhile."""

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

STORED = "network."
"""What the names of the network's parameters begin with in the state."""


class InnerNetwork:
    """A network whose parameters are drawn, trained, and kept in the state between iterations.

    It is a tool: what it holds within an iteration is given back to the state by ``stored``.

    Args:
        chunked: the network, on its device.
    """

    def __init__(self, chunked: ChunkedNetwork) -> None:
        self.chunked = chunked
        self.network = chunked.network.train()
        self.weights = MasterWeights(self.network)

    def redraw(self, generator: torch.Generator) -> None:
        """Begin a new life."""
        self.network.initialise(generator)
        self.weights.take_over()

    def restore(self, state: State) -> None:
        """Go on where ``stored`` left off."""
        self.weights.restore({name.removeprefix(STORED): tensor for name, tensor in state.items()})

    def stored(self) -> State:
        """The parameters, for the state."""
        return {f"{STORED}{name}": weight.detach().clone() for name, weight in self.weights.named.items()}

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
        """Descend on the mean cross-entropy of labelled images, without momentum.

        Args:
            images: (N, C, H, W).
            labels: int64 (N,), or probabilities.
            streams: the randomness: order and augmentation.
            steps: how many steps; the images are gone through epoch after epoch.
            batch: images a step.
            learning_rate: of each step.
            augmentation: one of its operations a step, its parameters an image.
        """
        self.network.train()
        device = self.chunked.compute.device
        for step, chosen in enumerate(islice(batches(len(images), batch, streams), steps)):
            some = images.detach()[chosen.to(device)]
            draw = augmentation.draw(streams.generator("augmentation", step), len(chosen), one_operation=True)
            [(_, gradients)] = self.chunked.loss_gradients([(augmentation.apply(some, draw), labels[chosen])])
            with torch.no_grad():
                for weight, gradient in zip(self.weights.parameters, gradients, strict=True):
                    weight -= learning_rate * gradient
            self.weights.hand_over()


def batches(count: int, size: int, streams: Streams) -> Iterator[Tensor]:
    """Without end, indices int64 (n,) of batches of ``size``, of which each epoch is a new order of all ``count``."""
    epoch = 0
    while True:
        yield from torch.randperm(count, generator=streams.generator("order", epoch)).split(size)
        epoch += 1
