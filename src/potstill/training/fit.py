"""Fitting networks to labelled images, few or many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.augmentation import Draw, cut_mixed
from potstill.networks import InitialWeights, Network
from potstill.runtime.compute import Compute
from potstill.runtime.randomness import Streams
from potstill.training.examples import Examples
from potstill.training.schedule import Schedule

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
    after_epoch: Callable[[int, list[float]], None] = lambda epoch, losses: None,
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
    optimiser = _optimiser(learners.weights, schedule)
    average = WeightAverage(learners.weights, schedule.averaging)
    for epoch in range(schedule.epochs):
        if schedule.decay == "cut" and epoch == schedule.cut_epoch:
            optimiser = _optimiser(learners.weights, schedule)
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate(epoch)
        chosen = torch.arange(len(examples)) if taking_part is None else taking_part(epoch)
        drawn = [own.child("epoch", epoch) for own in streams]
        losses = _epoch(learners, examples, chosen, schedule, optimiser, average, drawn, varies=taking_part is not None)
        if epoch + 1 == schedule.epochs:
            average.install()
            learners.hand_over()
        after_epoch(epoch + 1, losses)


def _epoch(
    learners: Learners,
    examples: Examples,
    chosen: Tensor,
    schedule: Schedule,
    optimiser: torch.optim.Optimizer,
    average: WeightAverage,
    streams: Sequence[Streams],
    *,
    varies: bool,
) -> list[float]:
    """One pass; the mean loss of each network.

    If the number of images ``varies`` between epochs, so does the size of the last batch.
    """
    learners.network.train()
    orders = torch.stack([chosen[torch.randperm(len(chosen), generator=own.generator("order"))] for own in streams])
    total = torch.zeros(len(streams), device=learners.compute.device)
    for number, indices in enumerate(orders.split(schedule.batch_size, dim=1)):
        images, labels = _batches(learners, examples, indices, schedule, number, streams)
        rare = varies and indices.shape[1] < schedule.batch_size
        losses, gradients = learners.gradients(images, labels, rare=rare)
        if schedule.flatness:
            gradients = _flatter(learners, gradients, images, labels, schedule.flatness, rare)
        for weight, gradient in zip(learners.weights, gradients, strict=True):
            weight.grad = gradient
        optimiser.step()
        average.update()
        learners.hand_over()
        total += losses
    return (total / len(chosen)).tolist()


def _batches(
    learners: Learners,
    examples: Examples,
    indices: Tensor,
    schedule: Schedule,
    number: int,
    streams: Sequence[Streams],
) -> tuple[Tensor, Tensor]:
    """The images (networks, n, C, H, W) and labels (networks, n, ...) of a step, augmented.

    Args:
        learners: for which.
        examples: of which.
        indices: int64 (networks, n).
        schedule: how they are augmented.
        number: of the step in its epoch.
        streams: the randomness of the epoch.
    """
    device, together = learners.compute.device, indices.flatten()
    images = examples.normalised(together).to(device)
    labels = examples.labels[together.to(examples.labels.device)].to(device)
    if (augmentation := schedule.augmentation) is not None:
        generators = [own.generator("augmentation", number) for own in streams]
        one, count = schedule.one_operation, indices.shape[1]
        draws = [augmentation.draw(generator, count, one_operation=one) for generator in generators]
        images = augmentation.apply(images, Draw.of_all(draws))
    images, labels = (tensor.unflatten(0, indices.shape) for tensor in (images, labels))
    if schedule.cutmix:
        soft = labels if labels.is_floating_point() else F.one_hot(labels, learners.network.classes).to(images)
        generators = [own.generator("cutmix", number) for own in streams]
        mixed = [cut_mixed(*own) for own in zip(images, soft, generators, strict=True)]
        images, labels = (torch.stack(parts) for parts in zip(*mixed, strict=True))
    return images, labels


def _flatter(
    learners: Learners, gradients: list[Tensor], images: Tensor, labels: Tensor, rho: float, rare: bool
) -> list[Tensor]:
    """The gradients of GSAM: Zhuang et al., "Surrogate Gap Minimization ...", ICLR 2022 (arXiv:2203.08065).

    g_p is the gradient at w + rho g / |g|; returned is g_p - alpha g_o, g_o what of g is orthogonal to g_p.
    """
    before = [weight.clone() for weight in learners.weights]
    steps = rho / (_products(gradients, gradients).sqrt() + EPSILON)
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
