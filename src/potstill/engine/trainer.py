"""A network that is trained and tested repeatedly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from potstill.data import Examples
from potstill.engine.chunked import ChunkedNetwork, Loss, cross_entropy
from potstill.engine.fit import Labeller, fit
from potstill.engine.layout import MasterWeights
from potstill.engine.schedule import Schedule
from potstill.networks import InitialWeights, Network
from potstill.networks.weights import Weights, snapshot
from potstill.runtime.compute import Compute
from potstill.runtime.streams import Streams
from potstill.synthetic import Step


class Trainer:
    """A network that is trained repeatedly: compiled once, with parameters redrawn in place for every repeat.

    Args:
        network: the network.
        compute: device, precision and compilation.

    Attributes:
        network: the network on its device.
        compute: as given.
        weights: for each parameter (1, ...), what an optimiser updates, in float32 or better.
    """

    def __init__(self, network: Network, compute: Compute) -> None:
        self._chunked = ChunkedNetwork(network, compute)
        self.network = self._chunked.network
        self.compute = compute
        self._master = MasterWeights(self.network)
        self.weights = [weight.detach()[None] for weight in self._master.parameters]
        self._loss: Loss = cross_entropy

    def fit(
        self,
        examples: Examples,
        schedule: Schedule,
        streams: Streams,
        *,
        after_epoch: Callable[[int, float], None] | None = None,
        taking_part: Callable[[int], Tensor] | None = None,
        labeller: Labeller | None = None,
    ) -> None:
        """Draw the initial weights of the network and train them.

        Args:
            examples: what to train on; the loss is the cross-entropy with classes or probabilities.
            schedule: epochs, learning rates and augmentation.
            streams: the randomness of this repeat: parameters, order of images, augmentation.
            after_epoch: called with the number of completed epochs and the mean loss of the last one.
            taking_part: from an epoch, counted from 0, to the indices int64 (n,) of its examples; by default all.
            labeller: labels every batch instead of the examples' own labels.
        """

        def report(epoch: int, losses: list[float]) -> None:
            if after_epoch is not None:
                after_epoch(epoch, losses[0])

        fit(self, examples, schedule, [streams], after_epoch=report, taking_part=taking_part, labeller=labeller)

    def replay(self, steps: Sequence[Step], initial: InitialWeights, streams: Streams) -> None:
        """Draw the initial weights of the network and take learned steps in order.

        Args:
            steps: the batch and the rate of each step, as :meth:`~potstill.synthetic.SyntheticSet.replayed` gives them.
            initial: the initial weights that the steps were learned for.
            streams: the randomness of this repeat.

        Raises:
            UserError: the initial weights are absent or do not fit the network.
        """
        self.begin(initial, [streams])
        self.network.train()
        device = self.compute.device
        for step in steps:
            _, gradients = self.gradients(step.images[None].to(device), step.labels[None].to(device))
            for weight, gradient in zip(self.weights, gradients, strict=True):
                weight -= step.rate * gradient
            self.hand_over()

    def begin(self, initial: InitialWeights, streams: Sequence[Streams]) -> None:
        """Set the initial weights of the network from the only stream."""
        initial.draw(self.network, streams[0].generator("network"))
        self._master.take_over()

    def gradients(self, images: Tensor, labels: Tensor, *, eager: bool = False) -> tuple[Tensor, list[Tensor]]:
        """The loss and the gradients on a batch, as in :class:`~potstill.engine.fit.Learners`.

        Args:
            images: (1, n, C, H, W).
            labels: int64 (1, n) classes, or probabilities (1, n, classes).
            eager: whether to run without compiled code.

        Returns:
            The summed loss (1,); and for each of ``weights`` the gradient (1, ...) of the mean loss.
        """
        [(loss, gradients)] = self._chunked.loss_gradients([(images[0], labels[0])], eager=eager, loss_of=self._loss)
        return loss[None], [gradient[None] for gradient in gradients]

    def hand_over(self) -> None:
        """Copy ``weights`` to what the network computes with."""
        self._master.hand_over()

    def members(self) -> Iterator[Trainer]:
        """The network itself, as the only member."""
        yield self

    @property
    def is_finite(self) -> bool:
        """Whether all weights are finite."""
        return all(bool(weight.isfinite().all()) for weight in self.weights)

    def snapshot(self) -> Weights:
        """A copy of the parameters and buffers, in float32 on the CPU."""
        return snapshot(self._master.network)

    def predict(self, examples: Examples) -> Tensor:
        """The most probable class of each image, as int64 (N,) on the CPU."""
        return self._chunked.predict(examples.normalised, len(examples))

    def logits_of(self, images: Tensor) -> Tensor:
        """The logits (N, classes) of images (N, C, H, W), in float32 or better; gradients reach the images."""
        return self._chunked.logits(images.to(self.compute.device), eager=True)

    def logits(self, examples: Examples) -> Tensor:
        """The logits of each image, as float (N, classes) on the CPU, in float32 or better."""
        return self._chunked.all_logits(examples.normalised, len(examples)).cpu()

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> Tensor:
        """The class probabilities of images (N, C, H, W), as float32 (N, classes) on the CPU."""
        self.network.eval()
        return self._chunked.logits(images.to(self.compute.device)).softmax(1).float().cpu()
