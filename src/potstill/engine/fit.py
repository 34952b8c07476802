"""Fitting networks to labelled images, few or many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.augmentation import Draw, cutmix
from potstill.data import Examples
from potstill.engine.schedule import Schedule
from potstill.networks import InitialWeights, Network
from potstill.runtime.compute import Compute
from potstill.runtime.streams import Streams

GSAM_ALPHA = 0.3
"""How much of the gradient's part that is orthogonal to the uphill one is climbed, as DATM's experts have it."""
EPSILON = 1e-12


class Learners(Protocol):
    """Networks of one architecture that learn in step, each from batches of its own.

    Attributes:
        network: one of that architecture.
        compute: device, precision and compilation.
        weights: what an optimiser moves, for each parameter (networks, ...): in float32 or better.
    """

    network: Network
    compute: Compute
    weights: list[Tensor]

    def begin(self, initial: InitialWeights, streams: Sequence[Streams]) -> None:
        """Give each network initial weights."""
        ...

    def gradients(self, images: Tensor, labels: Tensor, *, rare: bool = False) -> tuple[Tensor, list[Tensor]]:
        """What each network makes of its batch.

        Args:
            images: (networks, n, C, H, W).
            labels: int64 (networks, n) classes, or probabilities (networks, n, classes).
            rare: whether batches of this size are too few to compile for.

        Returns:
            The summed losses (networks,), and the gradients of the mean ones, each shaped as those of ``weights``.
        """
        ...

    def hand_over(self) -> None:
        """Let the networks compute with ``weights`` as they are now."""
        ...


def fit(
    learners: Learners,
    examples: Examples,
    schedule: Schedule,
    streams: Sequence[Streams],
    *,
    after_epoch: Callable[[int, list[float]], None] | None = None,
    taking_part: Callable[[int], Tensor] | None = None,
) -> None:
    """Draw initial weights and train them.

    Args:
        learners: what is trained.
        examples: what to train on; soft labels are learned by cross-entropy with probabilities.
        schedule: epochs, rates and augmentation.
        streams: for each network its randomness: parameters, order of the images, augmentation.
        after_epoch: called with the epochs done and each network's mean loss in the last.
        taking_part: gives the indices int64 (n,) of the examples of an epoch, counted from 0; all by default.
    """
    learners.begin(schedule.initial, streams)
    fitting = _Fitting(learners, examples, schedule)
    for epoch in range(schedule.epochs):
        fitting.at_rate_of(epoch)
        drawn = [own.child("epoch", epoch) for own in streams]
        if taking_part is None:
            losses = fitting.epoch(torch.arange(len(examples)), drawn)
        else:
            losses = fitting.epoch(taking_part(epoch), drawn, varies=True)
        if epoch + 1 == schedule.epochs:
            fitting.average.install()
            learners.hand_over()
        if after_epoch is not None:
            after_epoch(epoch + 1, losses)


class _Fitting:
    """One fit under way: the optimiser and the average of the weights beside what is trained."""

    def __init__(self, learners: Learners, examples: Examples, schedule: Schedule) -> None:
        self.learners, self.examples, self.schedule = learners, examples, schedule
        self.average = WeightAverage(learners.weights, schedule.ema_decay)
        self.optimiser = _optimiser(learners.weights, schedule)

    def at_rate_of(self, epoch: int) -> None:
        """Take the learning rate of an epoch, counted from 0; at the cut the optimiser begins anew."""
        if self.schedule.decay == "cut" and epoch == self.schedule.cut_epoch:
            self.optimiser = _optimiser(self.learners.weights, self.schedule)
        for group in self.optimiser.param_groups:
            group["lr"] = self.schedule.rate(epoch)

    def epoch(self, chosen: Tensor, streams: Sequence[Streams], *, varies: bool = False) -> list[float]:
        """One pass over the examples ``chosen``; the mean loss of each network.

        If their number ``varies`` from epoch to epoch, so does the size of the last batch.
        """
        self.learners.network.train()
        orders = torch.stack([chosen[torch.randperm(len(chosen), generator=own.generator("order"))] for own in streams])
        total = torch.zeros(len(streams), device=self.learners.compute.device)
        for number, indices in enumerate(orders.split(self.schedule.batch_size, dim=1)):
            images, labels = self._batches(indices, number, streams)
            total += self._step(images, labels, rare=varies and indices.shape[1] < self.schedule.batch_size)
        return (total / len(chosen)).tolist()

    def _batches(self, indices: Tensor, number: int, streams: Sequence[Streams]) -> tuple[Tensor, Tensor]:
        """The images (networks, n, C, H, W) and labels (networks, n, ...) at indices (networks, n), augmented.

        Args:
            indices: of the examples.
            number: of the step in its epoch.
            streams: the randomness of the epoch.
        """
        device, together = self.learners.compute.device, indices.flatten()
        images = self.examples.normalised(together).to(device)
        labels = self.examples.labels[together.to(self.examples.labels.device)].to(device)
        if (augmentation := self.schedule.augmentation) is not None:
            generators = [own.generator("augmentation", number) for own in streams]
            one, count = self.schedule.one_operation, indices.shape[1]
            draws = [augmentation.draw(generator, count, one_operation=one) for generator in generators]
            images = augmentation.apply(images, Draw.of_all(draws))
        images, labels = (tensor.unflatten(0, indices.shape) for tensor in (images, labels))
        if self.schedule.cutmix:
            classes = self.learners.network.classes
            soft = labels if labels.is_floating_point() else F.one_hot(labels, classes).to(images)
            generators = [own.generator("cutmix", number) for own in streams]
            mixed = [cutmix(*own) for own in zip(images, soft, generators, strict=True)]
            images, labels = (torch.stack(parts) for parts in zip(*mixed, strict=True))
        return images, labels

    def _step(self, images: Tensor, labels: Tensor, *, rare: bool) -> Tensor:
        """Descend on a batch of each network; the summed losses (networks,)."""
        learners = self.learners
        losses, gradients = learners.gradients(images, labels, rare=rare)
        if self.schedule.gsam_rho:
            gradients = self._flatter(gradients, images, labels, rare=rare)
        for weight, gradient in zip(learners.weights, gradients, strict=True):
            weight.grad = gradient
        self.optimiser.step()
        self.average.update()
        learners.hand_over()
        return losses

    def _flatter(self, gradients: list[Tensor], images: Tensor, labels: Tensor, *, rare: bool) -> list[Tensor]:
        """The gradients of GSAM: Zhuang et al., "Surrogate Gap Minimization ...", ICLR 2022 (arXiv:2203.08065).

        g_p is the gradient at w + rho g / |g|; returned is g_p - alpha g_o, g_o what of g is orthogonal to g_p.
        """
        learners, before = self.learners, [weight.clone() for weight in self.learners.weights]
        steps = self.schedule.gsam_rho / (_products(gradients, gradients).sqrt() + EPSILON)
        for weight, gradient in zip(learners.weights, gradients, strict=True):
            weight += _per_network(steps, gradient) * gradient
        learners.hand_over()
        _, uphill = learners.gradients(images, labels, rare=rare)
        for weight, old in zip(learners.weights, before, strict=True):
            weight.copy_(old)
        along = _products(gradients, uphill) / (_products(uphill, uphill) + EPSILON)
        return [p - GSAM_ALPHA * (g - _per_network(along, p) * p) for g, p in zip(gradients, uphill, strict=True)]


def _products(left: Sequence[Tensor], right: Sequence[Tensor]) -> Tensor:
    """For each network (networks,) the inner product of two gradients of all its parameters."""
    return torch.stack([(a * b).flatten(1).sum(1) for a, b in zip(left, right, strict=True)]).sum(0)


def _per_network(values: Tensor, beside: Tensor) -> Tensor:
    """Values (networks,) shaped to be multiplied with (networks, ...)."""
    return values.reshape(-1, *[1] * (beside.dim() - 1))


def _optimiser(weights: list[Tensor], schedule: Schedule) -> torch.optim.Optimizer:
    if schedule.optimiser == "adamw":
        return torch.optim.AdamW(weights, lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    rate, momentum, decay = schedule.learning_rate, schedule.momentum, schedule.weight_decay
    return torch.optim.SGD(weights, lr=rate, momentum=momentum, weight_decay=decay)


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
