"""What a set is worth: networks trained on it by a recipe, beside random real images and the full data."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import torch

from potstill.data import ImageDataset
from potstill.engine.schedule import Schedule
from potstill.engine.trainer import Trainer
from potstill.evaluation.file import EvaluationFile
from potstill.evaluation.recipes import Recipe, default_recipe, find_recipe
from potstill.evaluation.results import Evaluation, NetworkResult
from potstill.evaluation.session import AfterEpoch, Bench, Measurement, Repeat, accuracy, make_trainer
from potstill.networks import ImageShape, InitialWeights, build_network
from potstill.runtime.compute import AUTOMATIC, Compute, ComputeChoice
from potstill.runtime.errors import UserError, unknown
from potstill.runtime.parallel import cpu_workers
from potstill.runtime.progress import Progress, silent
from potstill.runtime.streams import Streams
from potstill.selection import SELECTIONS
from potstill.synthetic import SyntheticSet

LONG_WORK_PIXELS = 100_000_000
"""Pixels that trainings must look at for compilation and low precision to pay: some two minutes on two cores."""

BASELINES = (*SELECTIONS, "full", "initial")
"""As many real images by any selection; the full training data; the initial weights as they are, untrained."""


def evaluate(
    synthetic: SyntheticSet,
    dataset: ImageDataset,
    *,
    recipe: str | Recipe | None = None,
    networks: Sequence[str] = ("convnet",),
    repeats: int = 5,
    baselines: Sequence[str] = ("random", "full"),
    full_repeats: int = 1,
    full_epochs: int | None = None,
    initial: str = "random",
    seed: int = 0,
    compute: Compute | ComputeChoice = AUTOMATIC,
    progress: Progress = silent,
    record: str | Path | EvaluationFile | None = None,
) -> Evaluation:
    """Measure what ``synthetic`` is worth.

    Each network is trained on it ``repeats`` times from new initial weights and tested once on the test split; the
    baselines go through the identical recipe. Nothing is chosen by the test split.

    Args:
        synthetic: the set.
        dataset: what it was made from: for the baselines and the test split.
        recipe: a name of ``RECIPES`` or a recipe of your own; None takes the usual one of such a set: ``replay`` for
            learned steps, ``trajectory-1000`` or ``soft-label`` for a learned step size, otherwise ``dsa-1000``.
        networks: specs, such as ``("convnet", "resnet18")``.
        repeats: trainings of each network, at least.
        baselines: which of ``BASELINES`` to measure too. ``random`` draws other images for each repeat; what any other
            selection chooses is chosen once, by a network trained on the training images where it looks at one.
        full_repeats: trainings on the full data, at least; they are the expensive ones.
        full_epochs: passes over the full data; None takes as many as ``record`` has figures of, or else the recipe's.
            Figures of another number are replaced.
        initial: what networks begin with: ``random`` weights, or a folder or file of potstill experts. The recipe
            ``replay`` takes what the set was distilled for instead.
        seed: two evaluations with the same seed train from the same initial weights.
        compute: device, precision and compilation; by default what suits the device and the amount of work.
        progress: told in a few words what has been measured.
        record: an ``evaluation.json`` to keep, renewed after every repeat; what it holds by the same protocol is not
            measured again.

    Raises:
        UserError: the set does not fit the dataset, or the recipe or a network is unknown.
    """
    recipe = find_recipe(recipe or default_recipe(synthetic)) if not isinstance(recipe, Recipe) else recipe
    check_fits(synthetic, dataset)
    if repeats < 1 or full_repeats < 1:
        raise UserError("there must be at least one repeat", "use --repeats 1 or more")
    if full_epochs is not None and full_epochs < 1:
        raise UserError(f"{full_epochs} passes over the full data are none", "use --full-epochs 1 or more")
    if not networks:
        raise UserError("no network is named", "use --networks convnet, for example")
    for name in baselines:
        if name not in BASELINES:
            raise unknown("baseline", name, BASELINES, listing=", ".join(BASELINES))
    if recipe.learning_rate_grid and not len(dataset.validation):
        raise UserError(f"{dataset.name} has no validation images to choose learning rates by", "use another recipe")
    weights = _initial_weights(recipe, synthetic, initial)
    for name in networks:
        built = build_network(name, ImageShape(*dataset.shape), dataset.class_count, torch.Generator())
        weights.held_out(0).draw(built, torch.Generator())
    result = Evaluation(
        recipe=recipe,
        seed=seed,
        set_sha256=synthetic.fingerprint(),
        dataset_fingerprint=dataset.fingerprint,
        full_epochs=full_epochs or recipe.full_epochs,
        initial=weights.to_json(),
    )
    file = EvaluationFile(Path(record)) if isinstance(record, str | Path) else record
    if file is not None and (earlier := file.earlier(result)) is not None:
        result = _with_full_epochs(earlier, full_epochs) if "full" in baselines else earlier
        if result is earlier:
            file.save(result)  # it may have been put aside
    full_schedule = recipe.schedule(flips=dataset.flips, full=True, epochs=result.full_epochs, initial=weights)
    if isinstance(compute, ComputeChoice):
        on_sets = 1 + len(set(baselines) - {"full", "initial"})
        trainings_on_full = full_repeats * ("full" in baselines)
        compute = settled_for(
            compute,
            dataset,
            recipe.epochs * len(synthetic) * (repeats + len(recipe.learning_rate_grid)) * on_sets
            + full_schedule.epochs * len(dataset.train) * trainings_on_full,
        )
    # Learned steps are few, and each must be taken as it was learned.
    bench = Bench(
        dataset.to(compute.device),
        compute.precise if recipe.replay else compute,
        Streams(seed).child("evaluation"),
        progress,
    )
    wanted = [_on_set(synthetic, recipe, weights, dataset.flips, repeats)]
    wanted[0].results = result.networks
    for name in baselines:
        match name:
            case "full":
                made = _on_full(bench, full_schedule, full_repeats)
            case "initial":
                made = _untrained(weights, repeats)
            case _:
                made = _on_real(name, bench, synthetic, recipe, weights, repeats)
        made.results = result.baselines.setdefault(name, {})
        wanted.append(made)
    with cpu_workers(compute.device):
        for network in networks:
            for measurement in wanted:
                for _ in bench.measure(network, measurement):
                    if file is not None:
                        file.save(result)
    return result


def settled_for(compute: ComputeChoice, dataset: ImageDataset, images: int) -> Compute:
    """The device, precision and compilation that suit trainings which look at so many images of a dataset."""
    return compute.settled(long_run=images * math.prod(dataset.shape[1:]) >= LONG_WORK_PIXELS)


def _with_full_epochs(earlier: Evaluation, asked: int | None) -> Evaluation:
    """``earlier``, but without figures of the full data that were made with another number of epochs than asked."""
    if asked is None or asked == earlier.full_epochs:
        return earlier
    return replace(
        earlier,
        full_epochs=asked,
        baselines={name: results for name, results in earlier.baselines.items() if name != "full"},
    )


def _initial_weights(recipe: Recipe, synthetic: SyntheticSet, initial: str) -> InitialWeights:
    if not recipe.replay:
        return InitialWeights(initial)
    if synthetic.replay is None:
        raise UserError("the set has no learned steps to be replayed", f"use another recipe than {recipe.name}")
    return synthetic.replay.initial


def _on_set(synthetic: SyntheticSet, recipe: Recipe, weights: InitialWeights, flips: bool, repeats: int) -> Measurement:
    replay = synthetic.replay
    if replay is not None and recipe.replay:
        steps = len(replay.rates) // replay.batches

        def take_steps(trainer: Trainer, repeat: Repeat, *_: object) -> None:
            begun_with = replace(replay, initial=weights.held_out(repeat.number))
            trainer.replay(replace(synthetic, replay=begun_with), repeat.streams)

        # Learned steps from the same weights hold no chance: to repeat them would say nothing of any spread.
        return Measurement("set", steps, weights.different(repeats), take_steps)
    step_size = None if synthetic.step_size is None else synthetic.step_size.item()
    schedule = recipe.schedule(flips=flips, initial=weights, step_size=step_size)

    def train(trainer: Trainer, repeat: Repeat, after_epoch: AfterEpoch, rate: float | None) -> None:
        chosen = replace(schedule, initial=weights.held_out(repeat.number))
        chosen = chosen if rate is None else replace(chosen, learning_rate=rate)
        trainer.fit(synthetic, chosen, repeat.streams, after_epoch=after_epoch)

    whole = len(synthetic) <= schedule.batch_size
    if whole and schedule.augmentation is None and not schedule.cutmix:
        repeats = weights.different(repeats)  # nothing but the first weights is left to chance
    return Measurement("set", schedule.epochs, repeats, train, recipe.learning_rate_grid)


def _on_real(
    name: str, bench: Bench, synthetic: SyntheticSet, recipe: Recipe, weights: InitialWeights, repeats: int
) -> Measurement:
    """Real images by a selection in the places of the synthetic ones, everything else being equal."""
    ipc = max(len(synthetic) // synthetic.class_count, 1)
    chosen = cache(partial(bench.selected, name, ipc))

    def train(trainer: Trainer, repeat: Repeat, after_epoch: AfterEpoch, rate: float | None) -> None:
        images, labels = bench.random_images(ipc, repeat.streams) if name == "random" else chosen()
        real = replace(synthetic, images=images, labels=labels)
        _on_set(real, recipe, weights, bench.dataset.flips, repeats).train(trainer, repeat, after_epoch, rate)

    on_set = _on_set(synthetic, recipe, weights, bench.dataset.flips, repeats)
    # Random images are others at every repeat, whatever networks begin with.
    return replace(on_set, trained_on=name, repeats=repeats if name == "random" else on_set.repeats, train=train)


def _untrained(weights: InitialWeights, repeats: int) -> Measurement:
    def begin(trainer: Trainer, repeat: Repeat, *_: object) -> None:
        trainer.begin(weights.held_out(repeat.number), [repeat.streams])

    return Measurement("initial", 0, weights.different(repeats), begin)


def _on_full(bench: Bench, schedule: Schedule, repeats: int) -> Measurement:
    def train(trainer: Trainer, repeat: Repeat, after_epoch: AfterEpoch, rate: float | None) -> None:
        chosen = replace(schedule, initial=schedule.initial.held_out(repeat.number))
        trainer.fit(bench.dataset.train, chosen, repeat.streams, after_epoch=after_epoch)

    return Measurement("full", schedule.epochs, repeats, train)


def measure_full(
    dataset: ImageDataset,
    network: str,
    *,
    recipe: str | Recipe = "dsa-1000",
    repeats: int = 1,
    epochs: int | None = None,
    seed: int = 0,
    compute: Compute,
    progress: Progress = silent,
    earlier: NetworkResult | None = None,
    keep: Callable[[NetworkResult], None] = lambda result: None,
) -> NetworkResult:
    """Train one network on the full training data by a recipe's schedule for it, and test it.

    Args:
        dataset: on the device.
        network: its spec.
        recipe: a name of ``RECIPES`` or a recipe of your own.
        repeats: how many trainings.
        epochs: passes over the data, in place of the recipe's.
        seed: of the repeats.
        compute: device, precision and compilation.
        progress: told in a few words what has been measured.
        earlier: repeats that there are already.
        keep: given what there is after every repeat.

    Raises:
        UserError: the recipe or the network is unknown, or nothing would be trained.
    """
    recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
    if epochs is not None and epochs < 1:
        raise UserError(f"{epochs} passes over the full data are none", "use --full-epochs 1 or more")
    check_test(dataset)
    bench = Bench(dataset, compute, Streams(seed).child("evaluation"), progress)
    measurement = _on_full(bench, recipe.schedule(flips=dataset.flips, full=True, epochs=epochs), repeats)
    if earlier is not None and earlier.repeats:
        measurement.results[network] = earlier
    with cpu_workers(compute.device):
        for result in bench.measure(network, measurement):
            keep(result)
    return measurement.results[network]


def check_fits(synthetic: SyntheticSet, dataset: ImageDataset) -> None:
    """Make sure that a set was made from such a dataset, and that networks can be tested on that.

    Raises:
        UserError: image shape, classes, normalisation or whitening differ, says which; or there are no test images.
    """
    check_test(dataset)
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


def normalised_alike(dataset: ImageDataset, synthetic: SyntheticSet) -> ImageDataset:
    """Another copy of a set's dataset with the set's mean and standard deviation; a whitened one as it is.

    Networks that learn from the set must see test images as they see its own, whatever a copy's own statistics are.
    """
    return dataset if synthetic.whitening is not None else dataset.normalised_by(synthetic.mean, synthetic.std)


def check_unchanged(synthetic: SyntheticSet, dataset: ImageDataset, place: str) -> None:
    """Make sure that a dataset is as it was when a set was made from it.

    Args:
        synthetic: the set.
        dataset: loaded from ``place``.
        place: what the set was made from.

    Raises:
        UserError: it has changed.
    """
    if synthetic.provenance.get("dataset_fingerprint") not in (None, dataset.fingerprint):
        raise UserError(
            f"dataset {place!r} is not as it was when the set was made from it: its test images may be in the set",
            f"restore it, or take it as it is with --dataset {place}",
        )


def check_test(dataset: ImageDataset) -> None:
    """Make sure that there is something to test networks on.

    Raises:
        UserError: the test split is empty.
    """
    if not len(dataset.test):
        raise UserError(f"{dataset.name} has no test images", "use a dataset with more images, or with a test split")


def _rounded(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(value, 5) for value in values)


def validation_accuracy(
    synthetic: SyntheticSet,
    dataset: ImageDataset,
    *,
    recipe: str | Recipe | None = None,
    network: str = "convnet",
    streams: Streams,
    compute: Compute,
    trainer: Trainer | None = None,
) -> float:
    """Train one network on ``synthetic`` and return its accuracy on the validation split, a fraction.

    By default the recipe is ``quick``, at the set's own learning rate if it brings one along, or ``replay`` for a set
    that was distilled for certain steps. No learning rate is chosen: the recipe's own is taken.

    This is what checkpoints are chosen by: the test split plays no part. A ``trainer`` that ``make_trainer`` made of
    the same network, dataset and compute saves compiling the network again; it does not change the figure.
    """
    if recipe is None:
        recipe = replace(find_recipe("quick"), learned_rate=True) if synthetic.replay is None else "replay"
    recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
    trainer = trainer or make_trainer(network, dataset, compute)
    weights = _initial_weights(recipe, synthetic, "random")
    _on_set(synthetic, recipe, weights, dataset.flips, 1).train(trainer, Repeat(0, streams), lambda *_: None, None)
    return accuracy(trainer, dataset.validation)
