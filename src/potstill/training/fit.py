"""Fitting a network to labelled images, few or many, and testing it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.augmentation import SiameseAugmentation, cut_mixed
from potstill.networks import RANDOM_WEIGHTS, InitialWeights, Network
from potstill.networks.weights import Weights, snapshot
from potstill.runtime.compute import Compute
from potstill.runtime.randomness import Streams
from potstill.synthetic import SyntheticSet
from potstill.training.examples import Examples
from potstill.training.partwise import Batch, PartwiseNetwork
from potstill.training.placement import MasterWeights

GSAM_ALPHA = 0.3
"""How much of the gradient's part that is orthogonal to the uphill one is climbed, as DATM's experts have it."""
EPSILON = 1e-12

Optimiser = Literal["sgd", "adamw"]
Decay = Literal["none", "cut", "cosine"]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How a network is trained.

    Attributes:
        epochs: passes over the images.
        batch_size: images a step; the last batch of an epoch may be smaller.
        optimiser: SGD, or AdamW with its usual betas.
        learning_rate: at first.
        momentum: of SGD.
        weight_decay: of either.
        decay: how the learning rate falls: not at all; by a ``cut`` to a tenth once, after which the optimiser begins
            anew and the momentum is forgotten, as in the published programs; or as half a ``cosine`` to nothing.
        augmentation: its parameters are an image's own.
        one_operation: the images of a batch share the operation, as in published training with Siamese augmentation.
        cutmix: whether boxes of images are exchanged within a batch.
        averaging: the share that an exponential average of the weights keeps at each step; the average is tested in
            place of the weights. 0 tests the weights.
        flatness: rho of GSAM: how far uphill the weights are moved before the gradient is taken with which they then
            descend, for flatter minima; 0 for plain descent.
        initial: what the network begins with.
    """

    epochs: int
    batch_size: int = 256
    optimiser: Optimiser = "sgd"
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    decay: Decay = "cut"
    augmentation: SiameseAugmentation | None = None
    one_operation: bool = True
    cutmix: bool = False
    averaging: float = 0.0
    flatness: float = 0.0
    initial: InitialWeights = RANDOM_WEIGHTS

    @property
    def cut_epoch(self) -> int:
        """The epoch (from 0) before which the rate is cut: just after the middle."""
        return self.epochs // 2 + 1

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0."""
        match self.decay:
            case "none":
                return self.learning_rate
            case "cut":
                return self.learning_rate * (0.1 if epoch >= self.cut_epoch else 1)
            case "cosine":
                return self.learning_rate * (1 + math.cos(math.pi * epoch / self.epochs)) / 2


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
        taking_part: Callable[[int], Tensor] | None = None,
    ) -> None:
        """Draw the network's initial weights and train them.

        Args:
            examples: what to train on; soft labels are learned by cross-entropy with probabilities.
            schedule: epochs, rates and augmentation.
            streams: the randomness of this repeat: parameters, order of the images, augmentation.
            after_epoch: called with the epochs done and the mean loss of the last.
            taking_part: gives the indices int64 (n,) of the examples of an epoch, counted from 0; all by default.
        """
        self.begin(schedule.initial, streams)
        optimiser = self._optimiser(schedule)
        average = WeightAverage(self._weights.parameters, schedule.averaging)
        for epoch in range(schedule.epochs):
            if schedule.decay == "cut" and epoch == schedule.cut_epoch:
                optimiser = self._optimiser(schedule)
            for group in optimiser.param_groups:
                group["lr"] = schedule.rate(epoch)
            chosen = torch.arange(len(examples)) if taking_part is None else taking_part(epoch)
            loss = self._epoch(examples, chosen, schedule, optimiser, average, streams.child("epoch", epoch))
            if epoch + 1 == schedule.epochs:
                average.install()
                self._weights.hand_over()
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
        """Give the network initial weights."""
        initial.draw(self.network, streams.generator("network"))
        self._weights.take_over()

    def snapshot(self) -> Weights:
        """Parameters and buffers as they are now, in float32 on the CPU, sharing no memory with the network."""
        return snapshot(self._weights.network)

    def predict(self, examples: Examples) -> Tensor:
        """int64 (N,): the most probable class of each image, on the CPU."""
        return self._partwise.predict(examples.normalised, len(examples))

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> Tensor:
        """float32 (N, classes), on the CPU: what the network makes of images (N, C, H, W)."""
        self.network.eval()
        return self._partwise.logits(images.to(self.compute.device)).softmax(1).float().cpu()

    def _epoch(
        self,
        examples: Examples,
        chosen: Tensor,
        schedule: Schedule,
        optimiser: torch.optim.Optimizer,
        average: WeightAverage,
        streams: Streams,
    ) -> float:
        self.network.train()
        device = self.compute.device
        order = chosen[torch.randperm(len(chosen), generator=streams.generator("order"))]
        total = torch.zeros((), device=device)
        for number, batch in enumerate(order.split(schedule.batch_size)):
            images = examples.normalised(batch).to(device)
            labels = examples.labels[batch.to(examples.labels.device)].to(device)
            if schedule.augmentation is not None:
                generator = streams.generator("augmentation", number)
                draw = schedule.augmentation.draw(generator, len(batch), one_operation=schedule.one_operation)
                images = schedule.augmentation.apply(images, draw)
            if schedule.cutmix:
                soft = labels if labels.is_floating_point() else F.one_hot(labels, self.network.classes).to(images)
                images, labels = cut_mixed(images, soft, streams.generator("cutmix", number))
            [(loss, gradients)] = self._partwise.loss_gradients([(images, labels)])
            if schedule.flatness:
                gradients = self._flatter(gradients, (images, labels), schedule.flatness)
            for weight, gradient in zip(self._weights.parameters, gradients, strict=True):
                weight.grad = gradient
            optimiser.step()
            average.update()
            self._weights.hand_over()
            total += loss
        return total.item() / len(chosen)

    @torch.no_grad()
    def _flatter(self, gradients: list[Tensor], batch: Batch, rho: float) -> list[Tensor]:
        """The gradient of GSAM: Zhuang et al., "Surrogate Gap Minimization ...", ICLR 2022 (arXiv:2203.08065).

        g_p is the gradient at w + rho g / |g|; returned is g_p - alpha g_o, g_o what of g is orthogonal to g_p.
        """
        weights, length = self._weights.parameters, _length(gradients)
        before = [weight.detach().clone() for weight in weights]
        for weight, gradient in zip(weights, gradients, strict=True):
            weight += rho / (length + EPSILON) * gradient
        self._weights.hand_over()
        with torch.enable_grad():
            [(_, uphill)] = self._partwise.loss_gradients([batch])
        for weight, old in zip(weights, before, strict=True):
            weight.copy_(old)
        products = [(g * p).sum() for g, p in zip(gradients, uphill, strict=True)]
        along = torch.stack(products).sum() / (_length(uphill) ** 2 + EPSILON)
        return [p - GSAM_ALPHA * (g - along * p) for g, p in zip(gradients, uphill, strict=True)]

    def _optimiser(self, schedule: Schedule) -> torch.optim.Optimizer:
        weights, decay = self._weights.parameters, schedule.weight_decay
        if schedule.optimiser == "adamw":
            return torch.optim.AdamW(weights, lr=schedule.learning_rate, weight_decay=decay)
        return torch.optim.SGD(weights, lr=schedule.learning_rate, momentum=schedule.momentum, weight_decay=decay)


def _length(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack([tensor.square().sum() for tensor in tensors]).sum().sqrt()


class WeightAverage:
    """An exponential average of weights as they are trained; with a share of 0 it is the weights themselves.

    Args:
        weights: what is averaged.
        share: what the average keeps of itself at each step; less in the first steps, so that it forgets the start.
    """

    def __init__(self, weights: Sequence[Tensor], share: float) -> None:
        self._weights, self._share, self._steps = weights, share, 0
        self._average = [weight.detach().clone() for weight in weights] if share else []

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights as they are now."""
        self._steps += 1
        share = min(self._share, self._steps / (self._steps + 10))
        for average, weight in zip(self._average, self._weights, strict=False):
            average.lerp_(weight, 1 - share)

    @torch.no_grad()
    def install(self) -> None:
        """Put the average in the place of the weights."""
        for average, weight in zip(self._average, self._weights, strict=False):
            weight.copy_(average)
