"""Fitting a network to labelled images, few or many, and testing it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from potstill.augmentation import SiameseAugmentation
from potstill.networks import Network
from potstill.runtime.compilation import CompiledKinds, compiled
from potstill.runtime.compute import Compute
from potstill.runtime.randomness import Streams
from potstill.runtime.workers import parallel_map
from potstill.training.placement import MasterWeights, arranged, chunk_size, placed

T = TypeVar("T")
R = TypeVar("R")

PARTS_AT_ONCE = 8
"""Parts of a batch whose gradients are kept until they are added up: it bounds the memory of large networks."""


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
    """

    epochs: int
    batch_size: int = 256
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    cut_epoch: int | None = None
    augmentation: SiameseAugmentation | None = None


class Trainer:
    """A network that is fitted again and again: compiled once, its parameters redrawn in place for every repeat.

    Args:
        network: what is trained.
        compute: device, precision and compilation.
    """

    def __init__(self, network: Network, compute: Compute) -> None:
        self.network = placed(network, compute)
        self.compute = compute
        # Batch statistics depend on the whole batch; without them a batch may be taken in parts.
        self._may_split = not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
        self._forward = compiled(network) if compute.compile else network
        self._kinds = CompiledKinds()

    def fit(
        self,
        examples: Examples,
        schedule: Schedule,
        streams: Streams,
        *,
        after_epoch: Callable[[int, float], None] | None = None,
    ) -> None:
        """Redraw the network's parameters and train them.

        Args:
            examples: what to train on; soft labels are learned by cross-entropy with probabilities.
            schedule: epochs, rates and augmentation.
            streams: the randomness of this repeat: parameters, order of the images, augmentation.
            after_epoch: called with the epochs done and the mean loss of the last.
        """
        self.network.initialise(streams.generator("network"))
        weights = MasterWeights(self.network)
        optimiser = _optimiser(weights, schedule, schedule.learning_rate)
        for epoch in range(schedule.epochs):
            if epoch == schedule.cut_epoch:
                optimiser = _optimiser(weights, schedule, schedule.learning_rate * 0.1)
            loss = self._epoch(examples, schedule, weights, optimiser, streams.child("epoch", epoch))
            if after_epoch is not None:
                after_epoch(epoch + 1, loss)

    @torch.no_grad()
    def predict(self, examples: Examples) -> Tensor:
        """int64 (N,): the most probable class of each image, on the CPU."""
        self.network.eval()
        size = chunk_size(examples.normalised(slice(0, 1)), self.compute.device)
        chunks = torch.arange(len(examples)).split(size)
        # A short last chunk is filled up, so that one compiled shape serves them all.
        full = [F.pad(chunk, (0, len(chunks[0]) - len(chunk))) for chunk in chunks]
        classes = self._map(lambda chunk: self._logits(examples.normalised(chunk)).argmax(1), full, [("test", size)])
        return torch.cat(classes)[: len(examples)].cpu()

    def _epoch(
        self,
        examples: Examples,
        schedule: Schedule,
        weights: MasterWeights,
        optimiser: torch.optim.Optimizer,
        streams: Streams,
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
            total += self._backward(images, examples.labels[batch.to(examples.labels.device)].to(device), weights)
            optimiser.step()
            weights.hand_over()
        return total.item() / len(examples)

    def _backward(self, images: Tensor, labels: Tensor, weights: MasterWeights) -> Tensor:
        """Set the weights' gradients to those of the batch's mean loss; return the sum of the losses.

        A batch is taken in parts, on as many workers as there are, and the parts' gradients are added up in their
        order: the same bits on one core or on many.
        """
        # Half of what fits without gradients: the backward pass keeps as much again.
        size = max(chunk_size(images, self.compute.device) // 2, 1) if self._may_split else len(images)
        parameters = list(self.network.parameters())

        def part(some: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
            loss = F.cross_entropy(self._logits(some[0]), some[1], reduction="sum")
            return loss.detach(), torch.autograd.grad(loss / len(images), parameters)

        parts = list(zip(images.split(size), labels.split(size), strict=True))
        total, gradients = torch.zeros((), device=images.device), [torch.zeros_like(p) for p in weights.parameters]
        for first in range(0, len(parts), PARTS_AT_ONCE):
            some = parts[first : first + PARTS_AT_ONCE]
            for loss, shares in self._map(part, some, (("train", len(labels)) for _, labels in some)):
                total = total + loss
                for gradient, share in zip(gradients, shares, strict=True):
                    gradient += share
        for parameter, gradient in zip(weights.parameters, gradients, strict=True):
            parameter.grad = gradient
        return total

    def _map(self, function: Callable[[T], R], items: Sequence[T], kinds: Iterable[Hashable]) -> list[R]:
        """``function`` of each item on the workers; on one alone while there is something new to be compiled."""
        known = self._kinds.all_met(kinds)
        if self.compute.compile and not known:
            return [function(item) for item in items]
        return parallel_map(function, items)

    def _logits(self, images: Tensor) -> Tensor:
        logits = self._forward(arranged(images, self.compute))
        return logits.float() if logits.dtype == torch.bfloat16 else logits


def _optimiser(weights: MasterWeights, schedule: Schedule, learning_rate: float) -> torch.optim.SGD:
    return torch.optim.SGD(
        weights.parameters, lr=learning_rate, momentum=schedule.momentum, weight_decay=schedule.weight_decay
    )
