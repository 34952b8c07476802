"""Scores that neither a generous recipe nor soft labels lift alone: DD-Ranking's label and augmentation robust scores.

Li et al., "DD-Ranking: Rethinking the Evaluation of Dataset Distillation", 2025. All accuracies are fractions, learning
rates are tuned on the validation split, for the set and for random images alike, and every repeat has a seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import torch

from potstill.data import ImageDataset
from potstill.engine.schedule import Schedule
from potstill.evaluation.measure import check_fits, measure_full
from potstill.evaluation.recipes import Recipe, find_recipe
from potstill.evaluation.session import Bench, accuracy, make_trainer
from potstill.runtime.compute import Compute
from potstill.runtime.errors import UserError
from potstill.runtime.machine import machine_in_words
from potstill.runtime.parallel import cpu_workers
from potstill.runtime.progress import Progress, silent
from potstill.runtime.streams import Streams
from potstill.schema.statistics import summary
from potstill.synthetic import SyntheticSet

RATES = (0.001, 0.005, 0.01, 0.05, 0.1)
"""The learning rates that are tried, as DD-Ranking has them."""
WEIGHT = 0.5
"""Of each half of both scores."""


def hard_label_recovery(full: float, synthetic_hard: float) -> float:
    """HLR: how far a set with hard labels stays behind the full data; the smaller the better."""
    return full - synthetic_hard


def improvement_over_random(synthetic: float, random: float) -> float:
    """IOR: how far a set is ahead of random images with the same kind of labels under the same recipe."""
    return synthetic - random


def normalised(value: float) -> float:
    """(e^value - e^-1) / (e - e^-1): from [-1, 1] to [0, 1].

    Raises:
        ValueError: the value is none of fractions' differences.
    """
    if not -1 <= value <= 1:
        raise ValueError(f"{value} lies outside [-1, 1]: accuracies are fractions, not percent")
    return (math.exp(value) - math.exp(-1)) / (math.e - math.exp(-1))


def label_robust_score(full: float, synthetic_hard: float, synthetic: float, random: float) -> float:
    """LRS = normalised(w IOR - (1 - w) HLR), w = 1/2; in [0, 1], the larger the better."""
    gain = improvement_over_random(synthetic, random)
    return normalised(WEIGHT * gain - (1 - WEIGHT) * hard_label_recovery(full, synthetic_hard))


def augmentation_robust_score(
    synthetic_augmented: float, random_augmented: float, synthetic_plain: float, random_plain: float
) -> float:
    """ARS = normalised(g (gain over random with augmentation) + (1 - g) (gain without)), g = 1/2."""
    with_it = improvement_over_random(synthetic_augmented, random_augmented)
    without = improvement_over_random(synthetic_plain, random_plain)
    return normalised(WEIGHT * with_it + (1 - WEIGHT) * without)


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """Both scores, and what they are made of.

    Attributes:
        set_sha256: of the set's tensors.
        dataset_fingerprint: of the dataset that they were measured on.
        seed: of tuning and repeats.
        made_on: the machine, precision and version, in words.
        track: ``hard`` or ``soft``, by the set's labels: scores of the two are not comparable.
        recipe: the protocol's label.
        network: its spec.
        full_epochs: passes over the full data.
        full: accuracy on it.
        accuracies: by what was trained on, each repeat's.
        rates: the learning rate that the validation split chose for each.
    """

    set_sha256: str
    dataset_fingerprint: str
    seed: int
    made_on: str
    track: str
    recipe: str
    network: str
    full_epochs: int
    full: float
    accuracies: dict[str, list[float]]
    rates: dict[str, float]

    @property
    def label_score(self) -> float:
        """LRS of the mean accuracies."""
        hard = self.accuracies.get("synthetic hard", self.accuracies["synthetic augmented"])
        return label_robust_score(self.full, fmean(hard), self._mean("synthetic"), self._mean("random"))

    @property
    def augmentation_score(self) -> float:
        """ARS of the mean accuracies."""
        means = (
            fmean(self.accuracies[f"{of} {how}"]) for how in ("augmented", "plain") for of in ("synthetic", "random")
        )
        return augmentation_robust_score(*means)

    def to_json(self) -> dict[str, Any]:
        """The contents of ``robustness.json``."""
        return {
            "schema": 1,
            "set_sha256": self.set_sha256,
            "dataset_fingerprint": self.dataset_fingerprint,
            "seed": self.seed,
            "made_on": self.made_on,
            "track": self.track,
            "recipe": self.recipe,
            "network": self.network,
            "label_robust_score": self.label_score,
            "augmentation_robust_score": self.augmentation_score,
            "full_epochs": self.full_epochs,
            "full": self.full,
            "trained_on": {
                name: {**summary(values), "learning_rate": self.rates[name]} for name, values in self.accuracies.items()
            },
        }

    def _mean(self, of: str, how: str = "augmented") -> float:
        return fmean(self.accuracies[f"{of} {how}"])


def measure_robustness(
    synthetic: SyntheticSet,
    dataset: ImageDataset,
    *,
    recipe: str | Recipe = "dsa-1000",
    network: str = "convnet",
    repeats: int = 5,
    full_epochs: int | None = None,
    seed: int = 0,
    compute: Compute,
    progress: Progress = silent,
) -> Robustness:
    """Measure LRS and ARS of a set.

    The recipe is taken with its augmentation and without any; its learning rate is replaced, for the set and for random
    images each by that of ``RATES`` with which one training does best on the validation split. Random images of a set
    with soft labels get theirs from a network trained on the full data.

    Raises:
        UserError: the set does not fit the dataset, that has no validation split to tune on, or the recipe has no
            augmentation to be taken without.
    """
    recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
    check_fits(synthetic, dataset)
    if recipe.replay or recipe.augmentation == "none":
        lacks = "replays learned steps" if recipe.replay else "has no augmentation"
        raise UserError(f"{recipe.name} {lacks}, which robust scores compare with and without", "use --recipe dsa-1000")
    if repeats < 1:
        raise UserError("there must be at least one repeat", "use --repeats 1 or more")
    if not len(dataset.validation):
        raise UserError(f"{dataset.name} has no validation images to tune learning rates on", "use a larger dataset")
    data, streams = dataset.to(compute.device), Streams(seed).child("robustness")
    full = measure_full(
        data, network, recipe=recipe, epochs=full_epochs, seed=seed, compute=compute, progress=progress
    ).mean
    measured = _Measured(data, network, recipe, repeats, streams, compute, progress)
    with cpu_workers(compute.device):
        labelled = (
            _labeller(data, network, recipe, full_epochs, streams, compute) if synthetic.has_soft_labels else None
        )
        for how in ("augmented", "plain"):
            measured.train(f"synthetic {how}", lambda _: synthetic, plain=how == "plain")
            measured.train(f"random {how}", _random(synthetic, data, compute, progress, labelled), plain=how == "plain")
        if synthetic.has_soft_labels:
            hard = replace(synthetic, labels=synthetic.hard_labels)
            measured.train("synthetic hard", lambda _: hard, plain=False)
    return Robustness(
        set_sha256=synthetic.fingerprint(),
        dataset_fingerprint=dataset.fingerprint,
        seed=seed,
        made_on=f"{compute}; {machine_in_words()}",
        track="soft" if synthetic.has_soft_labels else "hard",
        recipe=recipe.label,
        network=network,
        full_epochs=full_epochs or recipe.full_epochs,
        full=full,
        accuracies=measured.accuracies,
        rates=measured.rates,
    )


class _Measured:
    """Trainings by one recipe, each kind at the learning rate that suits it."""

    def __init__(
        self,
        dataset: ImageDataset,
        network: str,
        recipe: Recipe,
        repeats: int,
        streams: Streams,
        compute: Compute,
        progress: Progress,
    ) -> None:
        self._dataset, self._recipe, self._repeats = dataset, recipe, repeats
        self._streams, self._progress = streams, progress
        self._trainer = make_trainer(network, dataset, compute)
        self.accuracies: dict[str, list[float]] = {}
        self.rates: dict[str, float] = {}

    def train(self, name: str, examples: Callable[[Streams], SyntheticSet], *, plain: bool) -> None:
        """Tune the learning rate on the validation split, then train and test the repeats."""
        recipe = replace(self._recipe, augmentation="none", cutmix=False) if plain else self._recipe
        schedule = replace(recipe, learned_rate=False).schedule(flips=self._dataset.flips)
        tuned = {rate: self._validated(examples, replace(schedule, learning_rate=rate)) for rate in RATES}
        best = max(RATES, key=tuned.__getitem__)
        self.rates[name], self.accuracies[name] = best, []
        for repeat in range(self._repeats):
            streams = self._streams.child("repeat", repeat)
            self._trainer.fit(examples(streams), replace(schedule, learning_rate=best), streams)
            self.accuracies[name].append(accuracy(self._trainer, self._dataset.test))
        self._progress(f"{name}: {fmean(self.accuracies[name]):.1%} at a learning rate of {best}")

    def _validated(self, examples: Callable[[Streams], SyntheticSet], schedule: Schedule) -> float:
        streams = self._streams.child("tuning")
        self._trainer.fit(examples(streams), schedule, streams)
        return accuracy(self._trainer, self._dataset.validation)


Labeller = Callable[[torch.Tensor], torch.Tensor]


def _random(
    synthetic: SyntheticSet, dataset: ImageDataset, compute: Compute, progress: Progress, labelled: Labeller | None
) -> Callable[[Streams], SyntheticSet]:
    """As many random real images of each class, others in each repeat, with the same kind of labels."""
    ipc = max(len(synthetic) // synthetic.class_count, 1)

    def drawn(streams: Streams) -> SyntheticSet:
        images, labels = Bench(dataset, compute, streams, progress).random_images(ipc, streams)
        return replace(synthetic, images=images, labels=labels if labelled is None else labelled(images))

    return drawn


def _labeller(
    dataset: ImageDataset, network: str, recipe: Recipe, epochs: int | None, streams: Streams, compute: Compute
) -> Labeller:
    """What a network that knows the full data makes of images: probabilities float32 (n, classes)."""
    teacher = make_trainer(network, dataset, compute)
    schedule = recipe.schedule(flips=dataset.flips, full=True, epochs=epochs)
    teacher.fit(dataset.train, schedule, streams.child("teacher"))
    return teacher.probabilities
