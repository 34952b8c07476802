"""A network that is fitted again and again, and tested."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from potstill.data import Examples
from potstill.engine.chunked import ChunkedNetwork
from potstill.engine.fit import fit
from potstill.engine.layout import MasterWeights
from potstill.engine.schedule import Schedule
from potstill.networks import InitialWeights, Network
from potstill.networks.weights import Weights, snapshot
from potstill.runtime.compute import Compute
from potstill.runtime.streams import Streams
from potstill.synthetic import SyntheticSet


class Trainer:
    """A network that is fitted again and again: compiled once, its parameters redrawn in place for every repeat.

    Args:
        network: what is trained.
        compute: device, precision and compilation.

    Attributes:
        network: it, on its device.
        compute: as given.
        weights: its parameters as an optimiser moves them, in float32 or better: of one network, each (1, ...).
    """

    def __init__(self, network: Network, compute: Compute) -> None:
        self._partwise = ChunkedNetwork(network, compute)
        self.network = self._partwise.network
        self.compute = compute
        self._master = MasterWeights(self.network)
        self.weights = [weight.detach()[None] for weight in self._master.parameters]

    def fit(
        self,
        examples: Examples,
        schedule: Schedule,
        streams: Streams,
        *,
        after_epoch: Callable[[int, float], None] | None = None,
    ) -> None:
        """Draw the network's initial weights and train them.

        Args:
            examples: what to train on; soft labels are learned by cross-entropy with probabilities.
            schedule: epochs, rates and augmentation.
            streams: the randomness of this repeat: parameters, order of the images, augmentation.
            after_epoch: called with the epochs done and the mean loss of the last.
        """

        def told(epoch: int, losses: list[float]) -> None:
            if after_epoch is not None:
                after_epoch(epoch, losses[0])

        fit(self, examples, schedule, [streams], after_epoch=told)

    def replay(self, synthetic: SyntheticSet, streams: Streams) -> None:
        """Draw the initial weights that a set was distilled for, and take its learned steps in their order.

        Raises:
            UserError: the set has no such steps, or the initial weights are gone or do not fit the network.
        """
        batches = synthetic.replayed()
        assert synthetic.replay is not None
        self.begin(synthetic.replay.initial, [streams])
        self.network.train()
        device = self.compute.device
        for (images, labels), rate in zip(batches, synthetic.replay.rates.tolist(), strict=True):
            _, gradients = self.gradients(images[None].to(device), labels[None].to(device))
            for weight, gradient in zip(self.weights, gradients, strict=True):
                weight -= rate * gradient
            self.hand_over()

    def begin(self, initial: InitialWeights, streams: Sequence[Streams]) -> None:
        """Give the network initial weights."""
        initial.draw(self.network, streams[0].generator("network"))
        self._master.take_over()

    def gradients(self, images: Tensor, labels: Tensor, *, rare: bool = False) -> tuple[Tensor, list[Tensor]]:
        """Of a batch (1, n, ...) the summed loss (1,), and the gradient of the mean for each of ``weights``."""
        [(loss, gradients)] = self._partwise.loss_gradients([(images[0], labels[0])], rare=rare)
        return loss[None], [gradient[None] for gradient in gradients]

    def hand_over(self) -> None:
        """Let the network compute with ``weights`` as they are now."""
        self._master.hand_over()

    def members(self) -> Iterator[Trainer]:
        """The one network that this trains."""
        yield self

    def snapshot(self) -> Weights:
        """Parameters and buffers as they are now, in float32 on the CPU, sharing no memory with the network."""
        return snapshot(self._master.network)

    def predict(self, examples: Examples) -> Tensor:
        """int64 (N,): the most probable class of each image, on the CPU."""
        return self._partwise.predict(examples.normalised, len(examples))

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> Tensor:
        """float32 (N, classes), on the CPU: what the network makes of images (N, C, H, W)."""
        self.network.eval()
        return self._partwise.logits(images.to(self.compute.device)).softmax(1).float().cpu()
