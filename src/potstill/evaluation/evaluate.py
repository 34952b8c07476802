"""What a set is worth: networks trained on it by a recipe, beside random real images and the full data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from potstill.data import ImageDataset
from potstill.evaluation.bench import Bench, Measurement, Progress, SetExamples, accuracy, make_trainer
from potstill.evaluation.recipes import Recipe, find_recipe
from potstill.evaluation.records import EvaluationFile
from potstill.evaluation.results import Evaluation
from potstill.networks import ImageShape, build_network
from potstill.runtime.compute import Compute, resolve_compute
from potstill.runtime.errors import UserError
from potstill.runtime.randomness import Streams
from potstill.runtime.workers import cpu_workers
from potstill.synthetic import SyntheticSet
from potstill.training.fit import Trainer

LONG_WORK_PIXELS = 100_000_000
"""Pixels that trainings must look at for compilation and low precision to pay: some two minutes on two cores."""

Baseline = Literal["random", "full"]


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
    compute: Compute | None = None,
    progress: Progress = lambda message: None,
    record: str | Path | None = None,
) -> Evaluation:
    """Measure what ``synthetic`` is worth.

    Each network is trained on it ``repeats`` times from new initial weights and tested once on the test split; the
    baselines go through the identical recipe. Nothing is chosen by the test split.

    Args:
        synthetic: the set.
        dataset: what it was made from: for the baselines and the test split.
        recipe: a name of ``RECIPES`` or a recipe of your own.
        networks: specs, such as ``("convnet", "resnet18")``.
        repeats: trainings of each network, at least; ``random`` draws other images for each.
        baselines: which of ``random`` and ``full`` to measure too.
        full_repeats: trainings on the full data, at least; they are the expensive ones.
        full_epochs: passes over the full data, in place of the recipe's.
        seed: two evaluations with the same seed train from the same initial weights.
        compute: device, precision and compilation; by default what suits the device and the amount of work.
        progress: told in a few words what has been measured.
        record: an ``evaluation.json`` to keep, renewed after every repeat; what it holds by the same protocol is not
            measured again.

    Raises:
        UserError: the set does not fit the dataset, or the recipe or a network is unknown.
    """
    recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
    check_fits(synthetic, dataset)
    if repeats < 1 or full_repeats < 1:
        raise UserError("there must be at least one repeat", "use --repeats 1 or more")
    for name in networks:
        build_network(name, ImageShape(*dataset.shape), dataset.class_count, torch.Generator())
    full_schedule = recipe.schedule(flips=dataset.flips, full=True, epochs=full_epochs)
    schedule = recipe.schedule(flips=dataset.flips)
    ipc = max(len(synthetic) // synthetic.class_count, 1)
    if compute is None:
        seen = recipe.epochs * len(synthetic) * repeats * (1 + ("random" in baselines))
        seen += full_schedule.epochs * len(dataset.train) * full_repeats * ("full" in baselines)
        compute = resolve_compute(long_run=seen * math.prod(dataset.shape[1:]) >= LONG_WORK_PIXELS)
    file = None if record is None else EvaluationFile(Path(record))
    result = Evaluation(
        recipe=recipe,
        seed=seed,
        set_sha256=synthetic.fingerprint(),
        dataset_fingerprint=dataset.fingerprint,
        full_epochs=full_schedule.epochs,
    )
    if file is not None:
        result = file.earlier(result) or result
    bench = Bench(dataset.to(compute.device), compute, Streams(seed).child("evaluation"), progress)
    on_set = Measurement("set", schedule, repeats, lambda streams: SetExamples(synthetic), result.networks)
    on_random = Measurement("random", schedule, repeats, partial(bench.random_images, ipc))
    on_full = Measurement("full", full_schedule, full_repeats, lambda streams: bench.dataset.train)
    wanted = [on_set, *(m for m in (on_random, on_full) if m.trained_on in baselines)]
    for measurement in wanted[1:]:
        measurement.results = result.baselines.setdefault(measurement.trained_on, {})
    with cpu_workers(compute.device):
        for network in networks:
            for measurement in wanted:
                for _ in bench.measure(network, measurement):
                    if file is not None:
                        file.save(result)
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


def validation_accuracy(
    synthetic: SyntheticSet,
    dataset: ImageDataset,
    *,
    recipe: str | Recipe = "quick",
    network: str = "convnet",
    streams: Streams,
    compute: Compute,
    trainer: Trainer | None = None,
) -> float:
    """Train one network on ``synthetic`` and return its accuracy on the validation split, a fraction.

    This is what checkpoints are chosen by: the test split plays no part. A ``trainer`` that ``make_trainer`` made of
    the same network, dataset and compute saves compiling the network again; it does not change the figure.
    """
    recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
    trainer = trainer or make_trainer(network, dataset, compute)
    trainer.fit(SetExamples(synthetic), recipe.schedule(flips=dataset.flips), streams)
    return accuracy(trainer, dataset.validation)
