"""What a set is worth: networks trained on it by a recipe, compared with real images and the full data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from potstill.data import ImageDataset
from potstill.engine.trainer import Trainer
from potstill.evaluation.checks import check_names, check_set, check_test, check_trainings
from potstill.evaluation.file import EvaluationFile
from potstill.evaluation.procedures import images_in_training, initial_weights, on_set
from potstill.evaluation.recipes import default_recipe, find_recipe
from potstill.evaluation.series import TrainingSeries, measure
from potstill.evaluation.session import FullTraining, Session
from potstill.evaluation.specs import trained_on_full, trained_on_real, trained_on_set, training_on, untrained
from potstill.evaluation.training import accuracy, make_trainer
from potstill.networks import default_network
from potstill.runtime.compute import Compute
from potstill.runtime.errors import UserError, unknown
from potstill.runtime.lock import locked
from potstill.runtime.streams import Streams
from potstill.schema.evaluation import Evaluation, NetworkResult, Results, real_images_per_class
from potstill.schema.recipe import Recipe
from potstill.selection import SELECTIONS
from potstill.selection.random import TooFewImages
from potstill.synthetic import SyntheticSet
from potstill.units import UnitLog

BASELINES = (*SELECTIONS, "full", "initial")
"""As many real images, chosen by any selection; the full training data; the initial weights without training."""


def evaluate(
    synthetic: SyntheticSet,
    data: ImageDataset | Session,
    *,
    recipe: str | Recipe | None = None,
    networks: Sequence[str] | None = None,
    repeats: int = 5,
    baselines: Sequence[str] | None = None,
    full: FullTraining = FullTraining(),  # noqa: B008 (a frozen value)
    record: str | Path | EvaluationFile | None = None,
) -> Evaluation:
    """Measure what ``synthetic`` is worth.

    Each network is trained on it ``repeats`` times from new initial weights and tested once after each training. The
    baselines follow the same recipe. The test split is never used to choose anything.

    Args:
        synthetic: the set.
        data: the dataset that it was made from, or a session that also sets seed, device, initial weights and progress.
        recipe: a name in ``RECIPES``, or a recipe of your own. None uses the default for such a set: ``replay`` for
            learned steps, ``trajectory-1000`` or ``soft-label`` for a learned step size, otherwise ``dsa-1000``.
        networks: specs, such as ``("convnet", "resnet18")``. By default ``convnet``, for vectors ``linear``.
        repeats: the least number of trainings of each network; results on record may have more.
        baselines: which of ``BASELINES`` to measure as well; None takes ``default_baselines``. ``random`` draws new
            images for each repeat; any other selection chooses once, with a network trained on the training images
            where it needs one.
        full: how the baseline ``full`` is trained. If its number of epochs differs from the one on record, the
            recorded results are replaced.
        record: an ``evaluation.json`` to write, updated after every repeat. Results of the same protocol that it
            already holds are not measured again.

    Returns:
        The results of every network on the set and on each baseline.

    Raises:
        UserError: the set does not fit the dataset; the recipe, a network or a baseline is unknown; or the record is
            damaged, or is being written by another process.
    """
    session = Session.of(data)
    dataset = session.dataset
    check_set(synthetic)
    recipe = recipe if isinstance(recipe, Recipe) else find_recipe(recipe or default_recipe(synthetic))
    networks = (default_network(dataset.shape),) if networks is None else networks
    baselines = default_baselines(synthetic) if baselines is None else baselines
    weights = initial_weights(recipe, synthetic, session.initial)
    check_trainings(synthetic, dataset, recipe, networks, repeats, weights)
    _check_baselines(baselines, synthetic, dataset)
    file = EvaluationFile(Path(record)) if isinstance(record, str | Path) else record
    asked = Evaluation(
        recipe=recipe,
        seed=session.seed,
        set_sha256=synthetic.fingerprint(),
        dataset_fingerprint=dataset.fingerprint,
        full_epochs=full.epochs or recipe.full_epochs,
        initial=weights.to_json(),
    )
    with locked(file.path) if file is not None else nullcontext():
        result = _on_record(asked, file, full.epochs if "full" in baselines else None)
        longest = result.full_epochs * len(dataset.train) * ("full" in baselines)
        images = _images_on_sets(synthetic, recipe, repeats, baselines) + longest * full.repeats
        compute = session.settled(images)
        # Learned steps are few, and each must be repeated exactly as it was learned.
        compute = compute.precise if recipe.replay else compute
        log = UnitLog.beside(None if file is None else file.path)
        with session.runner(compute, log, images=images, longest=longest) as runner:
            base = training_on(dataset, runner.workplace, recipe, session.seed, weights)
            wanted = [(trained_on_set(base, runner.workplace, synthetic, repeats), result.networks)]
            for name in baselines:
                if name == "full":
                    spec = trained_on_full(base, runner.workplace, result.full_epochs, full.repeats)
                elif name == "initial":
                    spec = untrained(base, runner.workplace, repeats)
                else:
                    spec = trained_on_real(name, base, runner.workplace, synthetic, repeats)
                wanted.append((spec, result.baselines.setdefault(name, {})))
            for network in networks:
                tables = {TrainingSeries(network, spec, table.get(network)): table for spec, table in wanted}
                for series in measure(runner, [*tables]):
                    tables[series][network] = series.result
                    if file is not None:
                        file.save(result)
    return result


def default_baselines(synthetic: SyntheticSet) -> tuple[str, ...]:
    """What a set is compared with by default: random real images and the full data.

    Vectors are also compared with the centres of k-means in each class, which are hard to beat: with one vector per
    class these are the class means. With more, those are a baseline of their own.
    """
    if not synthetic.holds_vectors:
        return ("random", "full")
    centres = ("average", "k-means") if len(synthetic) > synthetic.class_count else ("average",)
    return ("random", *centres, "full")


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
        session: dataset, device, seed and progress; what its ``compute`` leaves open is chosen by the amount of work.
        network: the spec of the network.
        recipe: a name in ``RECIPES``, or a recipe of your own.
        full: the number of trainings and of epochs.
        earlier: repeats that have been measured already; they count towards ``full.repeats``.
        keep: called with the result after every repeat.

    Returns:
        The accuracies on the test split, earlier repeats included.

    Raises:
        UserError: the recipe or the network is unknown, or there are no test images.
    """
    recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
    dataset = session.dataset
    check_test(dataset)
    epochs = full.epochs or recipe.full_epochs
    longest = epochs * len(dataset.train)
    images = longest * full.repeats
    with session.runner(session.settled(images), images=images, longest=longest) as runner:
        base = training_on(dataset, runner.workplace, recipe, session.seed)
        series = TrainingSeries(network, trained_on_full(base, runner.workplace, epochs, full.repeats), earlier)
        for changed in measure(runner, [series]):
            if keep is not None:
                keep(changed.result)
    return series.result


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

    Distillation uses it to choose which set to keep. The test split is not involved.

    Args:
        synthetic: the set.
        dataset: on the device.
        recipe: by default ``quick`` with the set's own learning rate if it has one, or ``replay`` for a set with
            learned steps. No learning rate is tuned: the recipe's own is used.
        network: the spec of the network.
        streams: the randomness of the training.
        compute: device, precision and compilation.
        trainer: from ``make_trainer`` with the same network, dataset and compute. It avoids compiling the network again
            and does not change the accuracy.

    Returns:
        The accuracy, a fraction.
    """
    if recipe is None:
        recipe = replace(find_recipe("quick"), learned_rate=True) if synthetic.replay is None else "replay"
    recipe = find_recipe(recipe) if isinstance(recipe, str) else recipe
    trainer = trainer or make_trainer(network, dataset, compute)
    weights = initial_weights(recipe, synthetic, "random").held_out(0)
    on_set(synthetic, recipe, weights, dataset.flips).train(trainer, streams, lambda _epoch, _loss: None)
    return accuracy(trainer, dataset.validation)


def _images_on_sets(synthetic: SyntheticSet, recipe: Recipe, repeats: int, baselines: Sequence[str]) -> int:
    """The images that one network sees in all trainings on the set and on as many real images."""
    on_a_set = images_in_training(recipe, len(synthetic), synthetic.pictures)
    sets = 1 + len(set(baselines) - {"full", "initial"})
    return on_a_set * (repeats + len(recipe.learning_rate_grid)) * sets


def _check_baselines(baselines: Sequence[str], synthetic: SyntheticSet, dataset: ImageDataset) -> None:
    """Make sure that all baselines are known and can be made.

    Raises:
        UserError: one is unknown, or takes more images than there are.
    """
    check_names("baselines", baselines)
    for name in baselines:
        if name not in BASELINES:
            raise unknown("baseline", name, BASELINES, listing=", ".join(BASELINES))
        _check_enough(name, synthetic, dataset)


def _check_enough(baseline: str, synthetic: SyntheticSet, dataset: ImageDataset) -> None:
    """Make sure that a selection has as many images to choose from as it takes; random ones may come twice."""
    if baseline not in SELECTIONS or baseline == "random":
        return
    try:
        SELECTIONS[baseline].check(dataset.train, real_images_per_class(len(synthetic), synthetic.class_count))
    except TooFewImages as error:
        raise UserError(error.problem, f"leave {baseline} out of `baselines`") from error


def _on_record(asked: Evaluation, file: EvaluationFile | None, full_epochs: int | None) -> Evaluation:
    """Earlier results of the protocol of ``asked``, or ``asked`` itself, which has no results.

    If ``full_epochs`` is given, results on the full data with a different number of epochs are left out.
    """
    earlier = None if file is None else file.earlier(asked)
    if file is None or earlier is None:
        return asked
    if full_epochs is None or full_epochs == earlier.full_epochs:
        file.save(earlier)  # it may be in a file beside the main one
        return earlier
    baselines: Mapping[str, Results] = {n: found for n, found in earlier.baselines.items() if n != "full"}
    return replace(earlier, full_epochs=full_epochs, baselines=dict(baselines))
