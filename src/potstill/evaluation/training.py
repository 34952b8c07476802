"""Repeated trainings: one network trained several times by one specification, and tested once after each training."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import torch

from potstill.data import ImageDataset, LabeledImages
from potstill.engine.trainer import Trainer
from potstill.networks import ImageShape, build_network
from potstill.runtime.compute import Compute
from potstill.runtime.errors import UserError
from potstill.runtime.machine import machine_in_words
from potstill.runtime.progress import Pace, Progress
from potstill.runtime.streams import Streams
from potstill.schema.evaluation import NetworkResult

CURVE_POINTS = 10
CURVE_IMAGES = 500
"""The number of validation images behind a learning curve, which is only for display."""

AfterEpoch = Callable[[int, float], None]
"""Called with the number of epochs done and the mean loss of the last one."""


class Repeat(NamedTuple):
    """One training of several.

    Attributes:
        number: counted from 0.
        streams: its randomness.
    """

    number: int
    streams: Streams


@dataclass(frozen=True, kw_only=True)
class TrainingSpec:
    """What networks are trained on, and how.

    Attributes:
        trained_on: a name for the training images, for messages.
        epochs: passes over them in each training.
        repeats: the number of trainings of each network.
        train: re-initialises a trainer's network and trains it for one repeat, with a callback after every epoch. Its
            last argument is the tuned learning rate; None uses the specification's own.
        learning_rate_grid: learning rates to choose from on the validation split, once for each network; empty if
            none is tuned.
    """

    trained_on: str
    epochs: int
    repeats: int
    train: Callable[[Trainer, Repeat, AfterEpoch, float | None], None]
    learning_rate_grid: tuple[float, ...] = ()


class Trainings:
    """Trains and tests networks on one dataset and one device, with one compiled network at a time.

    Args:
        dataset: on the device.
        compute: device, precision and compilation.
        streams: the randomness of all repeats.
        progress: called with a short message after every training, and now and then during long ones.
    """

    def __init__(self, dataset: ImageDataset, compute: Compute, streams: Streams, progress: Progress) -> None:
        self.dataset, self.compute, self.streams, self.progress = dataset, compute, streams, progress
        self._trainers: dict[str, Trainer] = {}

    def trainer(self, network: str) -> Trainer:
        """The trainer of a network. It is kept until another network is requested, so that it is compiled only once."""
        if network not in self._trainers:
            self._trainers = {network: make_trainer(network, self.dataset, self.compute)}
        return self._trainers[network]

    def measure(
        self, network: str, spec: TrainingSpec, earlier: NetworkResult | None = None
    ) -> Iterator[NetworkResult]:
        """Train and test a network until it has the specified number of repeats.

        Args:
            network: the spec of the network.
            spec: what it is trained on, and how.
            earlier: repeats of the same specification and seed; they are not done again.

        Yields:
            The result after every repeat, earlier repeats included. If a training fails, the last result says why.
        """
        done = replace(earlier or NetworkResult(), failed=None)
        for number in range(done.repeats, spec.repeats):
            repeat = Repeat(number, self.streams.child("repeat", number))
            try:
                if done.learning_rate is None and spec.learning_rate_grid:
                    done = replace(done, learning_rate=self._tuned(network, spec))
                latest = self._train_and_test(network, spec, repeat, done.learning_rate)
            except UserError as error:
                self.progress(f"{network} on {spec.trained_on} failed: {error.problem}")
                yield replace(done, failed=error.problem)
                return
            self.progress(f"{network} on {spec.trained_on}, {number + 1} of {spec.repeats}: {latest.accuracies[0]:.1%}")
            done = done.joined(latest)
            yield done

    def _tuned(self, network: str, spec: TrainingSpec) -> float:
        """The learning rate with the highest validation accuracy after one training with each rate of the grid."""

        def validate(learning_rate: float) -> float:
            trainer, streams = self.trainer(network), self.streams.child("tuning")
            spec.train(trainer, Repeat(0, streams), _ignore, learning_rate)
            found = accuracy(trainer, self.dataset.validation)
            shown = f"{found:.1%} on the validation split"
            self.progress(f"{network} on {spec.trained_on}, learning rate {learning_rate}: {shown}")
            return found

        return best_learning_rate(spec.learning_rate_grid, validate)

    def _train_and_test(
        self, network: str, spec: TrainingSpec, repeat: Repeat, learning_rate: float | None
    ) -> NetworkResult:
        started = time.perf_counter()
        trainer = self.trainer(network)
        curve = _Curve(spec.epochs, partial(accuracy, trainer), evenly_spaced(self.dataset.validation, CURVE_IMAGES))
        pace = Pace()

        def after_epoch(epoch: int, loss: float) -> None:
            if not math.isfinite(loss):
                raise UserError(f"{network} diverged in epoch {epoch} of its training", "use another recipe")
            if epoch < spec.epochs and pace.due():
                which = f"{repeat.number + 1} of {spec.repeats}"
                done = f"epoch {epoch} of {spec.epochs}, loss {loss:.3g}, {pace.left(epoch, spec.epochs)}"
                self.progress(f"{network} on {spec.trained_on}, {which}: {done}")
            curve.after_epoch(epoch, loss)

        spec.train(trainer, repeat, after_epoch, learning_rate)
        test = self.dataset.test
        predicted, true = trainer.predict(test), test.labels.cpu()
        classes = test.class_count
        counts = torch.bincount(true * classes + predicted, minlength=classes * classes).reshape(classes, classes)
        return NetworkResult(
            accuracies=[(predicted == true).double().mean().item()],
            seconds=time.perf_counter() - started,
            curve_epochs=curve.epochs,
            curve_loss=curve.losses,
            curve_accuracy=curve.accuracies,
            confusion=counts.tolist(),
            epochs=spec.epochs,
            made_on=[f"{self.compute}; {machine_in_words()}"],
            learning_rate=learning_rate,
        )


class _Curve:
    """The learning curve of a training, at no more than ten epochs."""

    def __init__(
        self, epochs: int, accuracy_on: Callable[[LabeledImages], float], validation: LabeledImages | None
    ) -> None:
        self._points = {max(round(epochs * (point + 1) / CURVE_POINTS), 1) for point in range(CURVE_POINTS)}
        self._accuracy_on, self._validation = accuracy_on, validation
        self.epochs: list[int] = []
        self.losses: list[float] = []
        self.accuracies: list[float] = []

    def after_epoch(self, epoch: int, loss: float) -> None:
        if epoch not in self._points:
            return
        self.epochs.append(epoch)
        self.losses.append(loss)
        if self._validation is not None:
            self.accuracies.append(self._accuracy_on(self._validation))


def best_learning_rate(grid: Sequence[float], validate: Callable[[float], float]) -> float:
    """The learning rate with the highest accuracy on the validation split.

    Args:
        grid: the learning rates to try in this order, at least one.
        validate: trains once with a learning rate and returns the accuracy on the validation split, a fraction.

    Returns:
        The best learning rate; of equally good ones the earliest in the grid.
    """
    accuracies = [validate(learning_rate) for learning_rate in grid]
    return grid[accuracies.index(max(accuracies))]


def make_trainer(network: str, dataset: ImageDataset, compute: Compute) -> Trainer:
    """Build a network for the images of a dataset, and its trainer.

    Args:
        network: the spec of the network, such as ``convnet:depth=4``.
        dataset: determines the shape of the images and the number of classes.
        compute: device, precision and compilation.

    Raises:
        UserError: the network is unknown, or the images are too small for it.
    """
    built = build_network(network, ImageShape(*dataset.shape), dataset.class_count, torch.Generator())
    return Trainer(built, compute)


def accuracy(trainer: Trainer, images: LabeledImages) -> float:
    """The fraction of ``images`` that the trainer's network classifies correctly."""
    return (trainer.predict(images) == images.labels.cpu()).double().mean().item()


def evenly_spaced(images: LabeledImages, count: int) -> LabeledImages | None:
    """At most ``count`` images at even distances in ``images``; None if there are no images."""
    if not len(images):
        return None
    few = min(count, len(images))
    return images.take(torch.arange(few, device=images.labels.device) * len(images) // few)


def _ignore(epoch: int, loss: float) -> None:
    """A callback after an epoch that does nothing."""
