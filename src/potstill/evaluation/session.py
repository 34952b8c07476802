"""Where networks are trained and tested again and again: one dataset, one device, one compiled network at a time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

from potstill.data import ImageDataset, LabeledImages
from potstill.engine.trainer import Trainer
from potstill.evaluation.results import NetworkResult, Results
from potstill.experts.teacher import Teacher
from potstill.networks import ImageShape, build_network
from potstill.runtime.compute import Compute
from potstill.runtime.errors import UserError
from potstill.runtime.machine import machine_in_words
from potstill.runtime.progress import Pace, Progress
from potstill.runtime.streams import Streams
from potstill.selection import SELECTIONS

CURVE_POINTS = 10
CURVE_IMAGES = 500  # of the validation split: a curve is to be looked at, the test split decides


AfterEpoch = Callable[[int, float], None]


class Repeat(NamedTuple):
    """One training of many.

    Attributes:
        number: from 0.
        streams: its randomness.
    """

    number: int
    streams: Streams


@dataclass
class Measurement:
    """A way to train networks, and what has been found.

    Attributes:
        trained_on: what they are trained on, in a word.
        epochs: passes over it in each training.
        repeats: how many trainings of each network are wanted.
        train: begins a trainer's network anew and trains it, for one repeat; tells of every epoch. It is given the
            learning rate that was chosen, if one is to be chosen.
        learning_rate_grid: what is chosen from, for each network, by the validation split.
        results: by network; grows with every repeat.
    """

    trained_on: str
    epochs: int
    repeats: int
    train: Callable[[Trainer, Repeat, AfterEpoch, float | None], None]
    learning_rate_grid: tuple[float, ...] = ()
    results: Results = field(default_factory=dict)


class Bench:
    """Where networks are trained and tested: one dataset, one device, one compiled network at a time."""

    def __init__(self, dataset: ImageDataset, compute: Compute, streams: Streams, progress: Progress) -> None:
        self.dataset, self.compute, self.streams, self.progress = dataset, compute, streams, progress
        self._trainers: dict[str, Trainer] = {}

    def random_images(self, ipc: int, streams: Streams) -> tuple[Tensor, Tensor]:
        """Images and labels of ``ipc`` random real images of each class, those of a smaller class again and again."""
        train = self.dataset.train
        generator = streams.generator("random images")
        orders = [torch.randperm(len(members), generator=generator) for members in train.class_index]
        chosen = [
            members[order.repeat(math.ceil(ipc / max(len(order), 1)))[:ipc].to(members.device)]
            for members, order in zip(train.class_index, orders, strict=True)
        ]
        drawn = train.take(torch.cat(chosen))
        return drawn.normalised().cpu(), drawn.labels.cpu()

    def selected(self, name: str, ipc: int) -> tuple[Tensor, Tensor]:
        """Images and labels of ``ipc`` real images of each class by the selection called ``name``."""
        selection, train, streams = SELECTIONS[name], self.dataset.train, self.streams.child("selection", name)
        self.progress(f"choosing by {name}")
        teacher = Teacher(
            train,
            network="convnet",
            streams=self.streams.child("teacher"),
            compute=self.compute,
            flips=self.dataset.flips,
            source="trained" if selection.looks else "pixels",
            progress=self.progress,
        )
        images = selection.images(teacher, ipc, streams)
        return images, torch.arange(train.class_count).repeat_interleave(ipc)

    def measure(self, network: str, measurement: Measurement) -> Iterator[NetworkResult]:
        """Train and test ``network`` until the wanted repeats are there, those measured earlier included.

        Yields:
            What the measurement's results hold of the network now, after every repeat; a network that fails is
            recorded with its reason.
        """
        results, repeats, trained_on = measurement.results, measurement.repeats, measurement.trained_on
        done = replace(results.get(network, NetworkResult()), failed=None)
        for number in range(done.repeats, repeats):
            repeat = Repeat(number, self.streams.child("repeat", number))
            try:
                if done.learning_rate is None:
                    done = replace(done, learning_rate=self._chosen_rate(network, measurement))
                run = self._train_and_test(network, measurement, repeat, done.learning_rate)
            except UserError as error:
                self.progress(f"{network} on {trained_on} failed: {error.problem}")
                results[network] = replace(done, failed=error.problem)
                yield results[network]
                return
            self.progress(f"{network} on {trained_on}, {number + 1} of {repeats}: {run.accuracies[0]:.1%}")
            done = results[network] = done.joined(run)
            yield done

    def _chosen_rate(self, network: str, measurement: Measurement) -> float | None:
        """The learning rate with which one training does best on the validation split, if there are any to try."""
        validated: dict[float, float] = {}
        for rate in measurement.learning_rate_grid:
            trainer = self._trainer(network)
            measurement.train(trainer, Repeat(0, self.streams.child("tuning")), lambda *_: None, rate)
            validated[rate] = accuracy(trainer, self.dataset.validation)
            found = f"{validated[rate]:.1%} of the validation images"
            self.progress(f"{network} on {measurement.trained_on}, learning rate {rate}: {found}")
        return max(validated, key=validated.__getitem__, default=None)

    def _train_and_test(
        self, network: str, measurement: Measurement, repeat: Repeat, rate: float | None
    ) -> NetworkResult:
        started = time.perf_counter()
        trainer = self._trainer(network)
        points = {max(round(measurement.epochs * (i + 1) / CURVE_POINTS), 1) for i in range(CURVE_POINTS)}
        validation = _first(self.dataset.validation, CURVE_IMAGES)
        epochs: list[int] = []
        losses: list[float] = []
        accuracies: list[float] = []

        pace = Pace()

        def after_epoch(epoch: int, loss: float) -> None:
            if not math.isfinite(loss):
                raise UserError(f"{network} diverged in epoch {epoch} of its training", "use another recipe")
            if epoch < measurement.epochs and pace.due():
                of = f"{repeat.number + 1} of {measurement.repeats}"
                done = f"epoch {epoch} of {measurement.epochs}, loss {loss:.3g}"
                self.progress(f"{network} on {measurement.trained_on}, {of}: {done}")
            if epoch in points:
                epochs.append(epoch)
                losses.append(loss)
                if validation is not None:
                    accuracies.append(accuracy(trainer, validation))

        measurement.train(trainer, repeat, after_epoch, rate)
        test = self.dataset.test
        predicted, true = trainer.predict(test), test.labels.cpu()
        classes = test.class_count
        counts = torch.bincount(true * classes + predicted, minlength=classes * classes).reshape(classes, classes)
        return NetworkResult(
            accuracies=[(predicted == true).double().mean().item()],
            seconds=time.perf_counter() - started,
            curve_epochs=epochs,
            curve_loss=losses,
            curve_accuracy=accuracies,
            confusion=counts.tolist(),
            epochs=measurement.epochs,
            made_on=[f"{self.compute}; {machine_in_words()}"],
            learning_rate=rate,
        )

    def _trainer(self, network: str) -> Trainer:
        if network not in self._trainers:
            self._trainers = {network: make_trainer(network, self.dataset, self.compute)}
        return self._trainers[network]


def make_trainer(network: str, dataset: ImageDataset, compute: Compute) -> Trainer:
    """A trainer of the network that the spec ``network`` names, for images such as the dataset's."""
    built = build_network(network, ImageShape(*dataset.shape), dataset.class_count, torch.Generator())
    return Trainer(built, compute)


def accuracy(trainer: Trainer, images: LabeledImages) -> float:
    """The fraction of ``images`` that the trainer's network gets right."""
    return (trainer.predict(images) == images.labels.cpu()).double().mean().item()


def _first(images: LabeledImages, count: int) -> LabeledImages | None:
    """At most ``count`` images, spread evenly over the set; None of an empty one."""
    if not len(images):
        return None
    few = min(count, len(images))
    return images.take(torch.arange(few, device=images.labels.device) * len(images) // few)
