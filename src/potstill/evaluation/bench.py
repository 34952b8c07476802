"""Where networks are trained and tested again and again: one dataset, one device, one compiled network at a time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from potstill.data import ImageDataset, LabeledImages
from potstill.evaluation.statistics import summary
from potstill.networks import ImageShape, build_network
from potstill.runtime.compute import Compute
from potstill.runtime.errors import UserError
from potstill.runtime.randomness import Streams
from potstill.synthetic import SyntheticSet
from potstill.training.fit import Examples, Schedule, Trainer

CURVE_POINTS = 10
CURVE_IMAGES = 500  # of the validation split: a curve is to be looked at, the test split decides

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class NetworkResult:
    """Repeated trainings of one network on one set.

    Attributes:
        accuracies: on the test split, a fraction for each repeat.
        seconds: to train and test all repeats.
        curve_epochs: the epochs at which the curves have points.
        curve_loss: mean training loss there, over repeats.
        curve_accuracy: mean accuracy there on a part of the validation split.
        confusion: counts (true class, predicted class), summed over repeats.
        epochs: passes over the set in each training.
        failed: why there is no result, if there is none.
    """

    accuracies: list[float] = field(default_factory=list)
    seconds: float = 0.0
    curve_epochs: list[int] = field(default_factory=list)
    curve_loss: list[float] = field(default_factory=list)
    curve_accuracy: list[float] = field(default_factory=list)
    confusion: list[list[int]] = field(default_factory=list)
    epochs: int = 0
    failed: str | None = None

    @property
    def mean(self) -> float:
        """The mean accuracy, a fraction.

        Raises:
            UserError: the network failed.
        """
        if self.failed is not None:
            raise UserError(f"this network has no accuracy: {self.failed}", "choose another network")
        return sum(self.accuracies) / len(self.accuracies)

    def to_json(self) -> dict[str, Any]:
        """The entry of this network in ``evaluation.json``."""
        if self.failed is not None:
            return {"failed": self.failed}
        curve = {"epochs": self.curve_epochs, "loss": self.curve_loss, "accuracy": self.curve_accuracy}
        return {
            **summary(self.accuracies),
            "seconds": self.seconds,
            "epochs": self.epochs,
            "curve": curve,
            "confusion": self.confusion,
        }


class SetExamples:
    """A synthetic set as examples to train on."""

    def __init__(self, synthetic: SyntheticSet) -> None:
        self.images, self.labels = synthetic.images, synthetic.labels

    def __len__(self) -> int:
        return len(self.images)

    def normalised(self, indices: Tensor | slice | None = None) -> Tensor:
        """The images at ``indices``, or all."""
        return self.images if indices is None else self.images[indices]


class Bench:
    """Where networks are trained and tested: one dataset, one device, one compiled network at a time."""

    def __init__(self, dataset: ImageDataset, compute: Compute, streams: Streams, progress: Progress) -> None:
        self.dataset, self.compute, self.streams, self.progress = dataset, compute, streams, progress
        self._trainers: dict[str, Trainer] = {}

    def random_images(self, ipc: int, streams: Streams) -> Examples:
        """``ipc`` random real images of each class, or all of a smaller class."""
        train = self.dataset.train
        generator = streams.generator("random images")
        chosen = [
            members[torch.randperm(len(members), generator=generator)[:ipc].to(members.device)]
            for members in train.class_index
        ]
        return train.take(torch.cat(chosen))

    def measure(
        self, network: str, trained_on: str, schedule: Schedule, repeats: int, examples: Callable[[Streams], Examples]
    ) -> NetworkResult:
        """Train and test ``repeats`` times; a network that fails is recorded with its reason."""
        started = time.perf_counter()
        try:
            runs = []
            for repeat in range(repeats):
                streams = self.streams.child("repeat", repeat)
                runs.append(self._train_and_test(network, examples(streams), schedule, streams))
                self.progress(f"{network} on {trained_on}, {repeat + 1} of {repeats}: {runs[-1].accuracies[0]:.1%}")
        except UserError as error:
            self.progress(f"{network} on {trained_on} failed: {error.problem}")
            return NetworkResult(failed=error.problem)
        confusion = sum(torch.tensor(run.confusion) for run in runs)
        assert isinstance(confusion, Tensor)
        return NetworkResult(
            accuracies=[run.accuracies[0] for run in runs],
            seconds=time.perf_counter() - started,
            curve_epochs=runs[0].curve_epochs,
            curve_loss=_means([run.curve_loss for run in runs]),
            curve_accuracy=_means([run.curve_accuracy for run in runs]),
            confusion=confusion.tolist(),
            epochs=schedule.epochs,
        )

    def _train_and_test(self, network: str, examples: Examples, schedule: Schedule, streams: Streams) -> NetworkResult:
        trainer = self._trainer(network)
        points = {max(round(schedule.epochs * (i + 1) / CURVE_POINTS), 1) for i in range(CURVE_POINTS)}
        validation = _first(self.dataset.validation, CURVE_IMAGES)
        epochs: list[int] = []
        losses: list[float] = []
        accuracies: list[float] = []

        def after_epoch(epoch: int, loss: float) -> None:
            if not math.isfinite(loss):
                raise UserError(f"{network} diverged in epoch {epoch} of its training", "use another recipe")
            if epoch in points:
                epochs.append(epoch)
                losses.append(loss)
                if validation is not None:
                    accuracies.append(accuracy(trainer, validation))

        trainer.fit(examples, schedule, streams, after_epoch=after_epoch)
        test = self.dataset.test
        predicted, true = trainer.predict(test), test.labels.cpu()
        classes = test.class_count
        counts = torch.bincount(true * classes + predicted, minlength=classes * classes).reshape(classes, classes)
        return NetworkResult(
            accuracies=[(predicted == true).double().mean().item()],
            curve_epochs=epochs,
            curve_loss=losses,
            curve_accuracy=accuracies,
            confusion=counts.tolist(),
        )

    def _trainer(self, network: str) -> Trainer:
        if network not in self._trainers:
            shape = ImageShape(*self.dataset.shape)
            built = build_network(network, shape, self.dataset.class_count, torch.Generator())
            self._trainers = {network: Trainer(built, self.compute)}
        return self._trainers[network]


def accuracy(trainer: Trainer, images: LabeledImages) -> float:
    """The fraction of ``images`` that the trainer's network gets right."""
    return (trainer.predict(images) == images.labels.cpu()).double().mean().item()


def _first(images: LabeledImages, count: int) -> LabeledImages | None:
    """At most ``count`` images, spread evenly over the set; None of an empty one."""
    if not len(images):
        return None
    step = max(len(images) // count, 1)
    return images.take(torch.arange(0, len(images), step, device=images.labels.device)[:count])


def _means(rows: Sequence[Sequence[float]]) -> list[float]:
    return [sum(column) / len(column) for column in zip(*rows, strict=True)]
