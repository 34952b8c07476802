"""What a set is worth: networks trained on it by a recipe, beside random real images and the full data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Literal

import torch

from potstill.data import ImageDataset
from potstill.evaluation.bench import Bench, NetworkResult, Progress, SetExamples, accuracy
from potstill.evaluation.recipes import Recipe, find_recipe
from potstill.networks import ImageShape, build_network
from potstill.runtime.compute import Compute, resolve_compute
from potstill.runtime.errors import UserError
from potstill.runtime.machine import describe_machine
from potstill.runtime.randomness import Streams
from potstill.runtime.workers import cpu_workers
from potstill.synthetic import SyntheticSet
from potstill.training.fit import Trainer

SCHEMA = 1

LONG_WORK_PIXELS = 100_000_000
"""Pixels that trainings must look at for compilation and low precision to pay: some two minutes on two cores."""

Baseline = Literal["random", "full"]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a synthetic set is worth by one recipe.

    Attributes:
        recipe: the protocol.
        repeats: trainings of each network.
        seed: of the repeats.
        set_sha256: of the set's tensors.
        full_epochs: passes over the full data, where it is a baseline.
        full_repeats: trainings on it.
        networks: the result of each network trained on the set.
        baselines: the same for ``random`` real images, as many per class, and for the ``full`` training data.
    """

    recipe: Recipe
    repeats: int
    seed: int
    set_sha256: str
    full_epochs: int
    full_repeats: int
    networks: dict[str, NetworkResult] = field(default_factory=dict)
    baselines: dict[str, dict[str, NetworkResult]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The contents of ``evaluation.json``."""
        return {
            "schema": SCHEMA,
            "recipe": asdict(self.recipe),
            "repeats": self.repeats,
            "seed": self.seed,
            "set_sha256": self.set_sha256,
            "full_epochs": self.full_epochs,
            "full_repeats": self.full_repeats,
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
    compute: Compute | None = None,
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
        compute: device, precision and compilation; by default what suits the device and the amount of work.
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
    full_schedule = recipe.schedule(flips=dataset.flips, full=True, epochs=full_epochs)
    schedule = recipe.schedule(flips=dataset.flips)
    ipc = max(len(synthetic) // synthetic.class_count, 1)
    if compute is None:
        seen = recipe.epochs * len(synthetic) * repeats * (1 + ("random" in baselines))
        seen += full_schedule.epochs * len(dataset.train) * full_repeats * ("full" in baselines)
        compute = resolve_compute(long_run=seen * math.prod(dataset.shape[1:]) >= LONG_WORK_PIXELS)
    result = Evaluation(
        recipe=recipe,
        repeats=repeats,
        seed=seed,
        set_sha256=synthetic.fingerprint(),
        full_epochs=full_schedule.epochs,
        full_repeats=full_repeats,
    )
    bench = Bench(dataset.to(compute.device), compute, Streams(seed).child("evaluation"), progress)
    with cpu_workers(compute.device):
        for name in networks:
            result.networks[name] = bench.measure(
                name, "set", schedule, repeats, lambda streams: SetExamples(synthetic)
            )
            if "random" in baselines:
                drawn = partial(bench.random_images, ipc)
                measured = bench.measure(name, "random", schedule, repeats, drawn)
                result.baselines.setdefault("random", {})[name] = measured
            if "full" in baselines:
                measured = bench.measure(name, "full", full_schedule, full_repeats, lambda streams: bench.dataset.train)
                result.baselines.setdefault("full", {})[name] = measured
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
) -> float:
    """Train one network on ``synthetic`` and return its accuracy on the validation split, a fraction.

    This is what checkpoints are chosen by: the test split plays no part.
    """
    recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
    shape = ImageShape(*dataset.shape)
    trainer = Trainer(build_network(network, shape, dataset.class_count, torch.Generator()), compute)
    trainer.fit(SetExamples(synthetic), recipe.schedule(flips=dataset.flips), streams)
    return accuracy(trainer, dataset.validation)
