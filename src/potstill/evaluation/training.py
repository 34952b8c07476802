"""One training of one network and its test: the unit of work of every evaluation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, TypeVar

import torch
from torch import Tensor

from potstill.data import ImageDataset, LabeledImages
from potstill.engine.fit import telling_of_steps
from potstill.engine.trainer import Trainer
from potstill.evaluation.procedures import (
    AfterEpoch,
    Procedure,
    by_schedule,
    on_set,
    random_set,
    stopped_early,
    untrained,
)
from potstill.evaluation.schedules import training_schedule
from potstill.networks import ImageShape, InitialWeights, build_network
from potstill.runtime.compute import Compute
from potstill.runtime.errors import UserError
from potstill.runtime.progress import Pace, Progress
from potstill.runtime.streams import Streams
from potstill.schema import Record
from potstill.schema.evaluation import MOST_CONFUSED, NetworkResult
from potstill.schema.fields import Amount, Count, Positive
from potstill.schema.recipe import Recipe
from potstill.synthetic import SyntheticSet
from potstill.units import Unit, Workplace

CURVE_POINTS = 10
CURVE_IMAGES = 500
"""The number of validation images behind a learning curve, which is only for display."""

FULL = "full"
EARLY = "early"
RANDOM = "random"
NONE = "none"
_NO_SETS = (FULL, EARLY, RANDOM, NONE, "")
"""What ``images`` and ``like`` may be beside the SHA-256 of a set."""

R = TypeVar("R", bound=Record)
U = TypeVar("U", bound="NetworkTraining[Any]")

Follow = Callable[[Trainer, int], AfterEpoch]
"""From a trainer and its number of epochs to what is called after each of them."""


@dataclass(frozen=True, kw_only=True)
class NetworkTraining(Unit[R]):
    """Train a network once. What is asked of it afterwards is what kinds of this unit differ in.

    Attributes:
        dataset: the SHA-256 of the prepared dataset.
        images: what the network is trained on: the SHA-256 of a set; ``random`` real images, drawn for this training;
            the ``full`` training split; the same, but stopped ``early``, after the steps of a training on ``like``; or
            ``none``.
        images_per_class: the number of random images.
        like: the SHA-256 of the set in whose place real images stand: that of early stopping, or of random images if
            the recipe uses what was learned with the set.
        network: the spec of the network.
        recipe: how the network is trained.
        epochs: passes over the full training split, instead of the recipe's number.
        initial: the initial weights, as ``InitialWeights`` records them.
        repeat: the number of the repeat; of pre-trained networks each repeat takes another held-out one.
        seed: seed of all random draws.
        stream: the stream of the draws.
        learning_rate: a learning rate instead of the recipe's.
        diverging: whether a loss or weights that are no longer finite make the training fail, or count as they are.
    """

    version: ClassVar[int] = 2

    dataset: str
    images: str
    images_per_class: Count = 0
    like: str = ""
    network: str = ""
    recipe: Recipe
    epochs: Positive | None = None
    initial: Mapping[str, Any]
    repeat: Count = 0
    seed: int
    stream: tuple[str | int, ...]
    learning_rate: Amount | None = None
    diverging: Literal["fails", "counts"] = "fails"

    @property
    def streams(self) -> Streams:
        """The randomness of the training."""
        return Streams(self.seed, self.stream)

    def asking(self, kind: type[U], **questions: Any) -> U:
        """The same training as a unit of another kind.

        Args:
            kind: the kind.
            questions: the fields that it has beside those of a training.
        """
        return kind(**{field.name: getattr(self, field.name) for field in fields(NetworkTraining)}, **questions)

    def trained(self, workplace: Workplace, follow: Follow | None = None) -> tuple[Trainer, int]:
        """Train the network.

        Args:
            workplace: provides the images and the device.
            follow: from the trainer and the number of epochs to what is called after each epoch.

        Returns:
            The trainer with the trained network, and the number of epochs.

        Raises:
            UserError: the training failed.
        """
        dataset, compute = workplace.dataset(self.dataset), workplace.compute
        sets = {key: workplace.synthetic(key) for key in (self.images, self.like) if key not in _NO_SETS}
        trainer = workplace.tool(
            "trainer", (self.network, self.dataset), lambda: make_trainer(self.network, dataset, compute)
        )
        procedure = self._procedure(workplace, dataset, sets)
        following = None if follow is None else follow(trainer, procedure.epochs)
        reporting = _TrainingProgress(procedure.epochs, workplace.progress)
        with telling_of_steps(reporting.after_step):
            procedure.train(trainer, self.streams, self._after_epoch(reporting, following))
        if self.diverging == "fails" and not trainer.is_finite:  # learned steps have no epochs to notice it after
            raise UserError(f"{self.network} diverged in its training", "use another recipe")
        return trainer, procedure.epochs

    def weights(self, workplace: Workplace) -> InitialWeights:
        """The initial weights of all repeats.

        Raises:
            UserError: the files have changed.
        """
        recorded = tuple(sorted(self.initial.items()))
        return workplace.tool("initial weights", recorded, lambda: InitialWeights(**self.initial))

    def _procedure(self, workplace: Workplace, dataset: ImageDataset, sets: Mapping[str, SyntheticSet]) -> Procedure:
        weights = self.weights(workplace).held_out(self.repeat)
        if self.images == NONE:
            return untrained(weights)
        if self.images == FULL:
            schedule = training_schedule(
                self.recipe, flips=dataset.flips, full=True, epochs=self.epochs, initial=weights
            )
            return by_schedule(dataset.train, schedule)
        if self.images == EARLY:
            return stopped_early(dataset.train, sets[self.like], self.recipe, weights, dataset.flips)
        if self.images == RANDOM:
            chosen = random_set(dataset.train, self.images_per_class, self.streams, sets.get(self.like))
        else:
            chosen = sets[self.images]
        return self.on_images(workplace, dataset, chosen, weights)

    def on_images(
        self, workplace: Workplace, dataset: ImageDataset, chosen: SyntheticSet, weights: InitialWeights
    ) -> Procedure:
        """Training on the images of a set, or on random ones in the form of a set.

        Args:
            workplace: the device.
            dataset: the dataset.
            chosen: the images.
            weights: the initial weights.
        """
        return on_set(chosen, self.recipe, weights, dataset.flips, learning_rate=self.learning_rate)

    def _after_epoch(self, reporting: _TrainingProgress, following: AfterEpoch | None) -> AfterEpoch:
        def after_epoch(epoch: int, loss: float) -> None:
            if self.diverging == "fails" and not math.isfinite(loss):
                raise UserError(f"{self.network} diverged in epoch {epoch} of its training", "use another recipe")
            reporting.after_epoch(epoch, loss)
            if following is not None:
                following(epoch, loss)

        return after_epoch


class _TrainingProgress:
    """Reports from time to time how far a training is.

    Args:
        epochs: of the training.
        progress: callback for progress messages.
    """

    def __init__(self, epochs: int, progress: Progress) -> None:
        self._epochs, self._progress = epochs, progress
        self._pace, self._loss = Pace(), ""

    def after_epoch(self, epoch: int, loss: float) -> None:
        self._loss = f", loss {loss:.3g}"
        if epoch < self._epochs:
            self.after_step(epoch)

    def after_step(self, done: float) -> None:
        if self._pace.due():
            left = self._pace.left(done, self._epochs)
            self._progress(f"epoch {math.ceil(done)} of {self._epochs}{self._loss}, {left}")


@dataclass(frozen=True, kw_only=True)
class TrainAndTest(NetworkTraining[NetworkResult]):
    """Train a network once, and test it once.

    Attributes:
        judged_by: the split on which the accuracy is measured.
    """

    result: ClassVar[type[Record]] = NetworkResult

    judged_by: Literal["test", "validation"] = "test"

    def run(self, workplace: Workplace) -> NetworkResult:
        """Train and test. A training that fails is a result too, which says why."""
        try:
            return self._measured(workplace, workplace.dataset(self.dataset))
        except UserError as error:
            return NetworkResult(failed=error.problem)

    def is_final(self, result: NetworkResult) -> bool:
        """A training that failed is tried again when it is asked for again."""
        return result.failed is None

    def _measured(self, workplace: Workplace, dataset: ImageDataset) -> NetworkResult:
        started = time.perf_counter()
        curve = _Curve(dataset, judged=self.judged_by == "test", drawn=self.diverging == "fails")
        trainer, epochs = self.trained(workplace, curve.follow)
        judges: LabeledImages = dataset.test if self.judged_by == "test" else dataset.validation
        predicted, true = trainer.predict(judges), judges.labels.cpu()
        classes = judges.class_count
        return NetworkResult(
            accuracies=[(predicted == true).double().mean().item()],
            seconds=time.perf_counter() - started,
            curve_epochs=curve.epochs,
            curve_loss=curve.losses,
            curve_accuracy=curve.accuracies,
            confusion=_confusion(true, predicted, classes),
            epochs=epochs,
            made_on=[workplace.in_words],
            learning_rate=self.learning_rate,
        )


def _confusion(true: Tensor, predicted: Tensor, classes: int) -> list[list[int]]:
    if not 1 < classes <= MOST_CONFUSED:
        return []
    counts = torch.bincount(true * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes).tolist()


class _Curve:
    """The learning curve of a training, at no more than ten epochs.

    Args:
        dataset: its validation split judges.
        judged: whether accuracies are measured; not if the validation split judges the training in any case.
        drawn: whether there is a curve; not if the loss may stop being finite.
    """

    def __init__(self, dataset: ImageDataset, *, judged: bool, drawn: bool) -> None:
        self._validation = evenly_spaced(dataset.validation, CURVE_IMAGES) if judged else None
        self._drawn = drawn
        self.epochs: list[int] = []
        self.losses: list[float] = []
        self.accuracies: list[float] = []

    def follow(self, trainer: Trainer, epochs: int) -> AfterEpoch:
        """Take a point of the curve where one is due."""
        points = {max(round(epochs * (point + 1) / CURVE_POINTS), 1) for point in range(CURVE_POINTS)}

        def after_epoch(epoch: int, loss: float) -> None:
            if not self._drawn or epoch not in points:
                return
            self.epochs.append(epoch)
            self.losses.append(loss)
            if self._validation is not None:
                self.accuracies.append(accuracy(trainer, self._validation))

        return after_epoch


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
