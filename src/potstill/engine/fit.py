"""The training loop: fits networks to labelled images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from potstill.augmentation import Draw, cutmix
from potstill.data import Examples
from potstill.engine.schedule import Schedule
from potstill.networks import InitialWeights, Network
from potstill.runtime.compute import Compute
from potstill.runtime.streams import Streams

GSAM_ALPHA = 0.3
"""GSAM's alpha, as in DATM's experts: the weight of the gradient's component orthogonal to the uphill one."""
EPSILON = 1e-12


Labeller = Callable[[Tensor], Tensor]
"""From augmented images (n, C, H, W) to the probabilities (n, classes) that they are trained with."""


class Learners(Protocol):
    """Networks of one architecture that are trained in step, each on its own batches.

    Attributes:
        network: one of that architecture.
        compute: device, precision and compilation.
        weights: for each parameter (networks, ...), what the optimiser updates, in float32 or better.
    """

    network: Network
    compute: Compute
    weights: list[Tensor]

    def begin(self, initial: InitialWeights, streams: Sequence[Streams]) -> None:
        """Set the initial weights of each network from its stream."""
        ...

    def gradients(self, images: Tensor, labels: Tensor, *, eager: bool = False) -> tuple[Tensor, list[Tensor]]:
        """The loss and the gradients of each network on its batch.

        Args:
            images: (networks, n, C, H, W).
            labels: int64 (networks, n) classes, or probabilities (networks, n, classes).
            eager: whether to run without compiled code, for a size of batch that is too rare to compile for.

        Returns:
            The summed losses (networks,); and the gradients of the mean losses, each with the shape of its ``weights``.
        """
        ...

    def hand_over(self) -> None:
        """Copy ``weights`` to what the networks compute with."""
        ...


def fit(
    learners: Learners,
    examples: Examples,
    schedule: Schedule,
    streams: Sequence[Streams],
    *,
    after_epoch: Callable[[int, list[float]], None] | None = None,
    taking_part: Callable[[int], Tensor] | None = None,
    labeller: Labeller | None = None,
) -> None:
    """Draw initial weights and train them.

    Args:
        learners: the networks.
        examples: what to train on; the loss is the cross-entropy with classes or probabilities.
        schedule: epochs, learning rates and augmentation.
        streams: for each network the randomness of its parameters, order of images and augmentation.
        after_epoch: called with the number of completed epochs and the mean loss of each network in the last one.
        taking_part: from an epoch, counted from 0, to the indices int64 (n,) of its examples; by default all.
        labeller: labels every batch, after augmentation and CutMix, instead of the examples' own labels.
    """
    learners.begin(schedule.initial, streams)
    go_on(
        learners,
        examples,
        schedule,
        streams,
        after_epoch=after_epoch,
        taking_part=taking_part,
        labeller=labeller,
    )


_tell: ContextVar[Callable[[float], None]] = ContextVar("_tell", default=lambda _: None)


@contextmanager
def telling_of_steps(tell: Callable[[float], None]) -> Iterator[None]:
    """Within this context, every step within an epoch is reported: an epoch of many images takes long.

    Args:
        tell: called after a step with the number of epochs that are done, such as 2.4.
    """
    token = _tell.set(tell)
    try:
        yield
    finally:
        _tell.reset(token)


def go_on(
    learners: Learners,
    examples: Examples,
    schedule: Schedule,
    streams: Sequence[Streams],
    *,
    after_epoch: Callable[[int, list[float]], None] | None = None,
    taking_part: Callable[[int], Tensor] | None = None,
    labeller: Labeller | None = None,
) -> None:
    """Train networks from the weights that they have.

    Args:
        learners: the networks.
        examples: what to train on; the loss is that of the learners.
        schedule: epochs, learning rates and augmentation.
        streams: for each network the randomness of its order of images and augmentation.
        after_epoch: as for :func:`fit`.
        taking_part: as for :func:`fit`.
        labeller: as for :func:`fit`.
    """
    fitting = _Fitting(learners, examples, schedule, labeller)
    for epoch in range(schedule.epochs):
        fitting.set_rate(epoch)
        drawn = [own.child("epoch", epoch) for own in streams]
        if taking_part is None:
            losses = fitting.epoch(epoch, torch.arange(len(examples)), drawn)
        else:
            losses = fitting.epoch(epoch, taking_part(epoch), drawn, varies=True)
        if epoch + 1 == schedule.epochs:
            fitting.average.install()
            learners.hand_over()
        if after_epoch is not None:
            after_epoch(epoch + 1, losses)


class _Fitting:
    """A fit in progress: the learners with their optimiser and the average of their weights."""

    def __init__(
        self, learners: Learners, examples: Examples, schedule: Schedule, labeller: Labeller | None = None
    ) -> None:
        self.learners, self.examples, self.schedule, self.labeller = learners, examples, schedule, labeller
        self.average = WeightAverage(learners.weights, schedule.ema_decay)
        self.optimiser = _Optimiser(learners.weights, schedule)

    def set_rate(self, epoch: int) -> None:
        """Set the learning rate of an epoch, counted from 0; at the cut the optimiser is reset."""
        if self.schedule.decay == "cut" and epoch == self.schedule.cut_epoch:
            self.optimiser = _Optimiser(self.learners.weights, self.schedule)
        self.optimiser.rate = self.schedule.rate(epoch)

    def epoch(self, epoch: int, chosen: Tensor, streams: Sequence[Streams], *, varies: bool = False) -> list[float]:
        """Make one pass over some examples, and return the mean loss of each network.

        Args:
            epoch: counted from 0.
            chosen: the indices int64 (n,) of the examples.
            streams: the randomness of the epoch, for each network.
            varies: whether n varies from epoch to epoch, and with it the size of the last batch.
        """
        self.learners.network.train()
        orders = torch.stack([chosen[torch.randperm(len(chosen), generator=own.generator("order"))] for own in streams])
        total, tell = torch.zeros(len(streams), device=self.learners.compute.device), _tell.get()
        batches = orders.split(self.schedule.batch_size, dim=1)
        for number, indices in enumerate(batches):
            images, labels = self._batches(indices, number, streams)
            total += self._step(images, labels, eager=varies and indices.shape[1] < self.schedule.batch_size)
            if number + 1 < len(batches):  # the caller reports the end of the epoch
                tell(epoch + (number + 1) / len(batches))
        return (total / len(chosen)).tolist()

    def _batches(self, indices: Tensor, number: int, streams: Sequence[Streams]) -> tuple[Tensor, Tensor]:
        """The augmented images (networks, n, C, H, W) and labels (networks, n, ...) of a step.

        Args:
            indices: int64 (networks, n), of the examples.
            number: of the step in its epoch, from 0.
            streams: the randomness of the epoch, for each network.
        """
        device, together = self.learners.compute.device, indices.flatten()
        images = self.examples.normalised(together).to(device)
        labels = self.examples.labels[together.to(self.examples.labels.device)].to(device)
        if (augmentation := self.schedule.augmentation) is not None:
            generators = [own.generator("augmentation", number) for own in streams]
            one, count = self.schedule.one_operation, indices.shape[1]
            draws = [augmentation.draw(generator, count, one_operation=one) for generator in generators]
            images = augmentation.apply(images, Draw.concatenate(draws))
        images, labels = (tensor.unflatten(0, indices.shape) for tensor in (images, labels))
        if self.schedule.cutmix:
            classes = self.learners.network.classes
            soft = labels if labels.is_floating_point() else F.one_hot(labels, classes).to(images)
            generators = [own.generator("cutmix", number) for own in streams]
            share = self.schedule.cutmix_probability
            mixed = [cutmix(*own, probability=share) for own in zip(images, soft, generators, strict=True)]
            images, labels = (torch.stack(parts) for parts in zip(*mixed, strict=True))
        if self.labeller is not None:
            labels = self.labeller(images.flatten(0, 1)).to(images.dtype).unflatten(0, indices.shape)
        return images, labels

    def _step(self, images: Tensor, labels: Tensor, *, eager: bool) -> Tensor:
        """Take one step on a batch of each network, and return the summed losses (networks,)."""
        learners = self.learners
        losses, gradients = learners.gradients(images, labels, eager=eager)
        if self.schedule.gsam_rho:
            gradients = self._gsam_gradients(gradients, images, labels, eager=eager)
        self.optimiser.step(gradients)
        self.average.update()
        learners.hand_over()
        return losses

    def _gsam_gradients(self, gradients: list[Tensor], images: Tensor, labels: Tensor, *, eager: bool) -> list[Tensor]:
        """The gradients of GSAM: Zhuang et al., "Surrogate Gap Minimization ...", ICLR 2022 (arXiv:2203.08065).

        With g_p the gradient at w + rho g / |g|, they are g_p - alpha g_o, g_o the component of g orthogonal to g_p.
        """
        learners, before = self.learners, [weight.clone() for weight in self.learners.weights]
        steps = self.schedule.gsam_rho / (_products(gradients, gradients).sqrt() + EPSILON)
        for weight, gradient in zip(learners.weights, gradients, strict=True):
            weight += _per_network(steps, gradient) * gradient
        learners.hand_over()
        _, uphill = learners.gradients(images, labels, eager=eager)
        for weight, old in zip(learners.weights, before, strict=True):
            weight.copy_(old)
        along = _products(gradients, uphill) / (_products(uphill, uphill) + EPSILON)
        return [p - GSAM_ALPHA * (g - _per_network(along, p) * p) for g, p in zip(gradients, uphill, strict=True)]


def _products(left: Sequence[Tensor], right: Sequence[Tensor]) -> Tensor:
    """The inner product (networks,) of two gradients of each network, over all its parameters."""
    return torch.stack([(a * b).flatten(1).sum(1) for a, b in zip(left, right, strict=True)]).sum(0)


def _per_network(values: Tensor, beside: Tensor) -> Tensor:
    """Values (networks,), reshaped to broadcast with (networks, ...)."""
    return values.reshape(-1, *[1] * (beside.dim() - 1))


class _Optimiser:
    """AdamW or SGD by the functions of PyTorch's optimisers: their classes import the compiler, which takes a second.

    Args:
        weights: the tensors that it updates.
        schedule: which optimiser, and its options.

    Attributes:
        rate: the learning rate.
    """

    def __init__(self, weights: list[Tensor], schedule: Schedule) -> None:
        self._weights, self._schedule, self.rate = weights, schedule, schedule.learning_rate
        if schedule.optimiser == "adamw":
            self._means, self._squares = ([torch.zeros_like(weight) for weight in weights] for _ in range(2))
            self._steps = [torch.tensor(0.0) for _ in weights]
        else:
            self._moving: list[Tensor | None] = [None for _ in weights]

    @torch.no_grad()
    def step(self, gradients: list[Tensor]) -> None:
        """Update the weights by their gradients."""
        if self._schedule.optimiser == "adamw":
            adamw(
                self._weights,
                gradients,
                self._means,
                self._squares,
                [],
                self._steps,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=self.rate,
                weight_decay=self._schedule.weight_decay,
                eps=1e-8,
                maximize=False,
            )
        else:
            sgd(
                self._weights,
                gradients,
                self._moving,
                weight_decay=self._schedule.weight_decay,
                momentum=self._schedule.momentum,
                lr=self.rate,
                dampening=0.0,
                nesterov=False,
                maximize=False,
            )


class WeightAverage:
    """An exponential moving average of weights in training.

    Args:
        weights: the tensors that are averaged, by reference.
        decay: the share of the old average that remains at each step; less in the first steps, so that the initial
            weights are forgotten. With 0 nothing is averaged.
    """

    def __init__(self, weights: Sequence[Tensor], decay: float) -> None:
        self._weights, self._decay, self._steps = weights, decay, 0
        self._average = [weight.detach().clone() for weight in weights] if decay else []

    @torch.no_grad()
    def update(self) -> None:
        """Include the current weights."""
        self._steps += 1
        decay = min(self._decay, self._steps / (self._steps + 10))
        for average, weight in zip(self._average, self._weights, strict=False):
            average.lerp_(weight, 1 - decay)

    @torch.no_grad()
    def install(self) -> None:
        """Replace the weights by their average."""
        for average, weight in zip(self._average, self._weights, strict=False):
            weight.copy_(average)
