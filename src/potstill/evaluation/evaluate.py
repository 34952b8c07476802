"""What a set is worth: networks trained on it by a recipe, beside real images and the full data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from potstill.data import ImageDataset
from potstill.engine.trainer import Trainer
from potstill.evaluation.checks import check_fits, check_repeats, check_test, check_validation
from potstill.evaluation.file import EvaluationFile
from potstill.evaluation.recipes import default_recipe, find_recipe, training_schedule
from potstill.evaluation.session import FullTraining, Session
from potstill.evaluation.specs import initial_weights, on_full, on_real, on_set, untrained
from potstill.evaluation.training import Repeat, accuracy, make_trainer
from potstill.networks import ImageShape, InitialWeights, build_network
from potstill.runtime.compute import Compute
from potstill.runtime.errors import UserError, unknown
from potstill.runtime.parallel import cpu_workers
from potstill.runtime.streams import Streams
from potstill.schema.evaluation import Evaluation, NetworkResult, Results
from potstill.schema.recipe import Recipe
from potstill.selection import SELECTIONS
from potstill.synthetic import SyntheticSet

BASELINES = (*SELECTIONS, "full", "initial")
"""As many real images by any selection; the full training data; the initial weights as they are, untrained."""


def evaluate(
    synthetic: SyntheticSet,
    data: ImageDataset | Session,
    *,
    recipe: str | Recipe | None = None,
    networks: Sequence[str] = ("convnet",),
    repeats: int = 5,
    baselines: Sequence[str] = ("random", "full"),
    full: FullTraining = FullTraining(),  # noqa: B008 (a frozen value)
    record: str | Path | EvaluationFile | None = None,
) -> Evaluation:
    """Measure what ``synthetic`` is worth.

    Each network is trained on it ``repeats`` times from new initial weights and tested once on the test split; the
    baselines go through the identical recipe. Nothing is chosen by the test split.

    Args:
        synthetic: the set.
        data: the dataset that it was made from, or a session with it: seed, device, initial weights, progress.
        recipe: a name of ``RECIPES`` or a recipe of your own; None uses the default for such a set: ``replay`` for
            learned steps, ``trajectory-1000`` or ``soft-label`` for a learned step size, otherwise ``dsa-1000``.
        networks: specs, such as ``("convnet", "resnet18")``.
        repeats: trainings of each network, at least.
        baselines: which of ``BASELINES`` to measure too. ``random`` draws other images for each repeat; any other
            selection chooses once, by a network trained on the training images where it needs one.
        full: how the baseline ``full`` is trained. With another number of epochs than on record, its results are
            replaced.
        record: an ``evaluation.json`` to keep, updated after every repeat; what it holds by the same protocol is not
            measured again.

    Returns:
        The results of every network on the set and on each baseline.

    Raises:
        UserError: the set does not fit the dataset, or the recipe, a network or a baseline is unknown.
    """
    session = Session.of(data)
    dataset = session.dataset
    recipe = recipe if isinstance(recipe, Recipe) else find_recipe(recipe or default_recipe(synthetic))
    check_fits(synthetic, dataset)
    _check_asked(networks, repeats, baselines)
    if recipe.learning_rate_grid:
        check_validation(dataset, "choose learning rates by")
    weights = initial_weights(recipe, synthetic, session.initial)
    _check_networks(networks, dataset, weights)
    file = EvaluationFile(Path(record)) if isinstance(record, str | Path) else record
    asked = Evaluation(
        recipe=recipe,
        seed=session.seed,
        set_sha256=synthetic.fingerprint(),
        dataset_fingerprint=dataset.fingerprint,
        full_epochs=full.epochs or recipe.full_epochs,
        initial=weights.to_json(),
    )
    result = _on_record(asked, file, full.epochs if "full" in baselines else None)
    schedule = training_schedule(recipe, flips=dataset.flips, full=True, epochs=result.full_epochs, initial=weights)
    on_sets = 1 + len(set(baselines) - {"full", "initial"})
    compute = session.settled(
        recipe.epochs * len(synthetic) * (repeats + len(recipe.learning_rate_grid)) * on_sets
        + schedule.epochs * len(dataset.train) * full.repeats * ("full" in baselines)
    )
    # Learned steps are few, and each must be taken as it was learned.
    trainings = session.trainings(compute.precise if recipe.replay else compute)
    wanted = [(on_set(synthetic, recipe, weights, dataset.flips, repeats), result.networks)]
    for name in baselines:
        match name:
            case "full":
                spec = on_full(trainings.dataset.train, schedule, full.repeats)
            case "initial":
                spec = untrained(weights, repeats)
            case _:
                spec = on_real(name, trainings, synthetic, recipe, weights, repeats)
        wanted.append((spec, result.baselines.setdefault(name, {})))
    with cpu_workers(compute.device):
        for network in networks:
            for spec, results in wanted:
                for latest in trainings.measure(network, spec, results.get(network)):
                    results[network] = latest
                    if file is not None:
                        file.save(result)
    return result


def measure_full(
    session: Session,
    network: str,
    *,
    recipe: str | Recipe = "dsa-1000",
    full: FullTraining = FullTraining(),  # noqa: B008 (a frozen value)
    earlier: NetworkResult | None = None,
    keep: Callable[[NetworkResult], None] | None = None,
) -> NetworkResult:
    """Train one network on the full training data by a recipe's schedule for it, and test it.

    Args:
        session: with settled device and precision, or those of a long run are used.
        network: its spec.
        recipe: a name of ``RECIPES`` or a recipe of your own.
        full: how often, and how many epochs.
        earlier: repeats that there are already.
        keep: called with the result after every repeat.

    Raises:
        UserError: the recipe or the network is unknown, or there are no test images.
    """
    recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
    dataset = session.dataset
    check_test(dataset)
    schedule = training_schedule(recipe, flips=dataset.flips, full=True, epochs=full.epochs)
    compute = session.settled(schedule.epochs * len(dataset.train) * full.repeats)
    trainings = session.trainings(compute)
    spec = on_full(trainings.dataset.train, schedule, full.repeats)
    result = earlier or NetworkResult()
    with cpu_workers(compute.device):
        for result in trainings.measure(network, spec, earlier):
            if keep is not None:
                keep(result)
    return result


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
    """Train one network on ``synthetic`` and return its accuracy on the validation split.

    Checkpoints are chosen by it: the test split plays no part.

    Args:
        synthetic: the set.
        dataset: on the device.
        recipe: by default ``quick`` with the set's own learning rate if it has one, or ``replay`` for a set that was
            distilled for certain steps. No learning rate is tuned: the recipe's own is used.
        network: its spec.
        streams: the randomness of the training.
        compute: device, precision and compilation.
        trainer: from ``make_trainer`` with the same network, dataset and compute; it saves compiling the network again
            and does not change the accuracy.

    Returns:
        A fraction.
    """
    if recipe is None:
        recipe = replace(find_recipe("quick"), learned_rate=True) if synthetic.replay is None else "replay"
    recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
    trainer = trainer or make_trainer(network, dataset, compute)
    spec = on_set(synthetic, recipe, initial_weights(recipe, synthetic, "random"), dataset.flips, 1)
    spec.train(trainer, Repeat(0, streams), lambda _epoch, _loss: None, None)
    return accuracy(trainer, dataset.validation)


def _check_asked(networks: Sequence[str], repeats: int, baselines: Sequence[str]) -> None:
    check_repeats(repeats)
    if not networks:
        raise UserError("no network is named", "use --networks convnet, for example")
    for name in baselines:
        if name not in BASELINES:
            raise unknown("baseline", name, BASELINES, listing=", ".join(BASELINES))


def _check_networks(networks: Sequence[str], dataset: ImageDataset, weights: InitialWeights) -> None:
    """Build every network once: a wrong name, or weights that do not fit, are found before anything is trained."""
    for name in networks:
        built = build_network(name, ImageShape(*dataset.shape), dataset.class_count, torch.Generator())
        weights.held_out(0).draw(built, torch.Generator())


def _on_record(asked: Evaluation, file: EvaluationFile | None, full_epochs: int | None) -> Evaluation:
    """What was measured earlier by the protocol of ``asked``, or ``asked`` itself, without results.

    Results on the full data by another number of epochs than ``full_epochs`` are left out, if it is given.
    """
    earlier = None if file is None else file.earlier(asked)
    if file is None or earlier is None:
        return asked
    if full_epochs is None or full_epochs == earlier.full_epochs:
        file.save(earlier)  # it may have been put aside
        return earlier
    baselines: Mapping[str, Results] = {n: found for n, found in earlier.baselines.items() if n != "full"}
    return replace(earlier, full_epochs=full_epochs, baselines=dict(baselines))
