"""Fitting a network to labelled images, few or many, and testing it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from potstill.augmentation import SiameseAugmentation
from potstill.networks import RANDOM_WEIGHTS, InitialWeights, Network
from potstill.networks.weights import Weights, snapshot
from potstill.runtime.compute import Compute
from potstill.runtime.randomness import Streams
from potstill.synthetic import SyntheticSet
from potstill.training.partwise import PartwiseNetwork
from potstill.training.placement import MasterWeights


class Examples(Protocol):
    """Labelled images that can be asked for by index: a real or a synthetic set."""

    @property
    def labels(self) -> Tensor:
        """int64 (N,) classes, or float (N, classes) probabilities."""
        ...

    def __len__(self) -> int: ...

    def normalised(self, indices: Tensor | slice | None = None) -> Tensor:
        """float32 (n, C, H, W): the images at ``indices``, or all."""
        ...


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How a network is trained: SGD with momentum, the learning rate cut once.

    Attributes:
        epochs: passes over the images.
        batch_size: images a step; the last batch of an epoch may be smaller.
        learning_rate: until the cut.
        momentum: of SGD.
        weight_decay: of SGD.
        cut_epoch: the epoch (from 0) before which the rate is multiplied by 0.1 and the momentum forgotten, as
            the published programs do by building a new optimiser; None for never.
        augmentation: one of its operations a batch, its parameters a sample.
        initial: what the network begins with.
    """

    epochs: int
    batch_size: int = 256
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    cut_epoch: int | None = None
    augmentation: SiameseAugmentation | None = None
    initial: InitialWeights = RANDOM_WEIGHTS


class Trainer:
    """A network that is fitted again and again: compiled once, its parameters redrawn in place for every repeat.

    Args:
        network: what is trained.
        compute: device, precision and compilation.
    """

    def __init__(self, network: Network, compute: Compute) -> None:
        self._partwise = PartwiseNetwork(network, compute)
        self.network = self._partwise.network
        self.compute = compute
        self._weights = MasterWeights(self.network)

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
        self.begin(schedule.initial, streams)
        optimiser = self._optimiser(schedule, schedule.learning_rate)
        for epoch in range(schedule.epochs):
            if epoch == schedule.cut_epoch:
                optimiser = self._optimiser(schedule, schedule.learning_rate * 0.1)
            loss = self._epoch(examples, schedule, optimiser, streams.child("epoch", epoch))
            if after_epoch is not None:
                after_epoch(epoch + 1, loss)

    def replay(self, synthetic: SyntheticSet, streams: Streams) -> None:
        """Draw the initial weights that a set was distilled for, and take its learned steps in their order.

        Raises:
            UserError: the set has no such steps, or the initial weights are gone or do not fit the network.
        """
        batches = synthetic.replayed()
        assert synthetic.replay is not None
        self.begin(synthetic.replay.initial, streams)
        self.network.train()
        device = self.compute.device
        for (images, labels), rate in zip(batches, synthetic.replay.rates.tolist(), strict=True):
            [(_, gradients)] = self._partwise.loss_gradients([(images.to(device), labels.to(device))])
            with torch.no_grad():
                for weight, gradient in zip(self._weights.parameters, gradients, strict=True):
                    weight -= rate * gradient
            self._weights.hand_over()

    def begin(self, initial: InitialWeights, streams: Streams) -> None:
        """Give the network initial weights: of pre-trained ones those that are held out for evaluation."""
        initial.draw(self.network, streams.generator("network"), held_out=True)
        self._weights.take_over()

    def snapshot(self) -> Weights:
        """Parameters and buffers as they are now, in float32 on the CPU, sharing no memory with the network."""
        return snapshot(self._weights.network)

    def predict(self, examples: Examples) -> Tensor:
        """int64 (N,): the most probable class of each image, on the CPU."""
        return self._partwise.predict(examples.normalised, len(examples))

    def _epoch(
        self, examples: Examples, schedule: Schedule, optimiser: torch.optim.Optimizer, streams: Streams
    ) -> float:
        self.network.train()
        device = self.compute.device
        order = torch.randperm(len(examples), generator=streams.generator("order"))
        total = torch.zeros((), device=device)
        for number, batch in enumerate(order.split(schedule.batch_size)):
            images = examples.normalised(batch).to(device)
            if schedule.augmentation is not None:
                draw = schedule.augmentation.draw(
                    streams.generator("augmentation", number), len(batch), one_operation=True
                )
                images = schedule.augmentation.apply(images, draw)
            labels = examples.labels[batch.to(examples.labels.device)].to(device)
            [(loss, gradients)] = self._partwise.loss_gradients([(images, labels)])
            for weight, gradient in zip(self._weights.parameters, gradients, strict=True):
                weight.grad = gradient
            optimiser.step()
            total += loss
            self._weights.hand_over()
        return total.item() / len(examples)

    def _optimiser(self, schedule: Schedule, learning_rate: float) -> torch.optim.SGD:
        return torch.optim.SGD(
            self._weights.parameters,
            lr=learning_rate,
            momentum=schedule.momentum,
            weight_decay=schedule.weight_decay,
        )
