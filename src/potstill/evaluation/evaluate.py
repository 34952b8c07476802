"""What a set is worth: networks trained on it by a recipe, beside random real images and the full data."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from potstill.data import ImageDataset, LabeledImages
from potstill.evaluation.recipes import Recipe, find_recipe
from potstill.evaluation.statistics import summary
from potstill.networks import ImageShape, build_network
from potstill.runtime.compute import Compute
from potstill.runtime.errors import UserError
from potstill.runtime.machine import describe_machine
from potstill.runtime.randomness import Streams
from potstill.synthetic import SyntheticSet
from potstill.training.fit import Examples, Schedule, Trainer

SCHEMA = 1
CURVE_POINTS = 10
CURVE_IMAGES = 500  # of the validation split: a curve is to be looked at, the test split decides

Baseline = Literal["random", "full"]
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


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a synthetic set is worth by one recipe.

    Attributes:
        recipe: the protocol.
        repeats: trainings of each network.
        seed: of the repeats.
        networks: the result of each network trained on the set.
        baselines: the same for ``random`` real images, as many per class, and for the ``full`` training data.
    """

    recipe: Recipe
    repeats: int
    seed: int
    networks: dict[str, NetworkResult] = field(default_factory=dict)
    baselines: dict[str, dict[str, NetworkResult]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The contents of ``evaluation.json``."""
        return {
            "schema": SCHEMA,
            "recipe": asdict(self.recipe),
            "repeats": self.repeats,
            "seed": self.seed,
            "machine": describe_machine(),
            "networks": {name: result.to_json() for name, result in self.networks.items()},
            "baselines": {
                baseline: {name: result.to_json() for name, result in results.items()}
                for baseline, results in self.baselines.items()
            },
        }


def evaluate(
    synthetic: SyntheticSet,
    dataset: ImageDataset,
    *,
    recipe: str | Recipe = "dsa-1000",
    networks: Sequence[str] = ("convnet",),
    repeats: int = 5,
    baselines: Sequence[Baseline] = ("random", "full"),
    full_repeats: int = 1,
    full_epochs: int | None = None,
    seed: int = 0,
    compute: Compute,
    progress: Progress = lambda message: None,
) -> Evaluation:
    """Measure what ``synthetic`` is worth.

    Each network is trained on it ``repeats`` times from new initial weights and tested once on the test split; the
    baselines go through the identical recipe. Nothing is chosen by the test split.

    Args:
        synthetic: the set.
        dataset: what it was made from: for the baselines and the test split.
        recipe: a name of ``RECIPES`` or a recipe of your own.
        networks: specs, such as ``("convnet", "resnet18")``.
        repeats: trainings of each network; ``random`` draws other images for each.
        baselines: which of ``random`` and ``full`` to measure too.
        full_repeats: trainings on the full data, which are the expensive ones.
        full_epochs: passes over the full data, in place of the recipe's.
        seed: two evaluations with the same seed train from the same initial weights.
        compute: device, precision and compilation.
        progress: told in a few words what has been measured.

    Raises:
        UserError: the set does not fit the dataset, or the recipe or a network is unknown.
    """
    recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
    check_fits(synthetic, dataset)
    if repeats < 1 or full_repeats < 1:
        raise UserError("there must be at least one repeat", "use --repeats 1 or more")
    for name in networks:
        build_network(name, ImageShape(*dataset.shape), dataset.class_count, torch.Generator())
    bench = _Bench(dataset.to(compute.device), compute, Streams(seed).child("evaluation"), progress)
    result = Evaluation(recipe=recipe, repeats=repeats, seed=seed)
    small = recipe.schedule(flips=dataset.flips)
    ipc = max(len(synthetic) // synthetic.class_count, 1)
    for name in networks:
        result.networks[name] = bench.measure(name, "set", small, repeats, lambda streams: _Tensors(synthetic))
        for baseline in baselines:
            if baseline == "random":
                measured = bench.measure(
                    name, "random", small, repeats, lambda streams: bench.random_images(ipc, streams)
                )
            else:
                schedule = recipe.schedule(flips=dataset.flips, full=True, epochs=full_epochs)
                measured = bench.measure(name, "full", schedule, full_repeats, lambda streams: bench.dataset.train)
            result.baselines.setdefault(baseline, {})[name] = measured
    return result


def check_fits(synthetic: SyntheticSet, dataset: ImageDataset) -> None:
    """Make sure that a set was made from such a dataset.

    Raises:
        UserError: image shape, classes, normalisation or whitening differ; says which.
    """
    pairs = {
        "image shape": (tuple(synthetic.shape), tuple(dataset.shape)),
        "classes": (synthetic.class_names, dataset.class_names),
        "mean": (_rounded(synthetic.mean), _rounded(dataset.mean)),
        "std": (_rounded(synthetic.std), _rounded(dataset.std)),
        "whitening": (synthetic.whitening is not None, dataset.train.whitening is not None),
    }
    for what, (ours, theirs) in pairs.items():
        if ours != theirs:
            raise UserError(
                f"the set does not fit dataset {dataset.name!r}: its {what} is {ours}, the dataset's {theirs}",
                "evaluate it on the dataset and with the options that it was distilled from",
            )


def _rounded(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(value, 5) for value in values)


class _Tensors:
    """A synthetic set as examples to train on."""

    def __init__(self, synthetic: SyntheticSet) -> None:
        self.images, self.labels = synthetic.images, synthetic.labels

    def __len__(self) -> int:
        return len(self.images)

    def normalised(self, indices: Tensor | slice | None = None) -> Tensor:
        return self.images if indices is None else self.images[indices]


class _Bench:
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
            if loss != loss or loss == float("inf"):
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


def validation_accuracy(
    synthetic: SyntheticSet,
    dataset: ImageDataset,
    *,
    recipe: str | Recipe = "quick",
    network: str = "convnet",
    streams: Streams,
    compute: Compute,
) -> float:
    """Train one network on ``synthetic`` and return its accuracy on the validation split, a fraction.

    This is what checkpoints are chosen by: the test split plays no part.
    """
    recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
    shape = ImageShape(*dataset.shape)
    trainer = Trainer(build_network(network, shape, dataset.class_count, torch.Generator()), compute)
    trainer.fit(_Tensors(synthetic), recipe.schedule(flips=dataset.flips), streams)
    return accuracy(trainer, dataset.validation)


def _first(images: LabeledImages, count: int) -> LabeledImages | None:
    """At most ``count`` images, spread evenly over the set; None of an empty one."""
    if not len(images):
        return None
    step = max(len(images) // count, 1)
    return images.take(torch.arange(0, len(images), step, device=images.labels.device)[:count])


def _means(rows: Sequence[Sequence[float]]) -> list[float]:
    return [sum(column) / len(column) for column in zip(*rows, strict=True)]
