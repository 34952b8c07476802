"""What a set is worth in real images: how many random ones teach networks as much, by the same recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from potstill.data import ImageDataset
from potstill.evaluation.checks import check_exchangeable, check_set
from potstill.evaluation.file import EvaluationFile, MeasuredFile
from potstill.evaluation.measure import evaluate
from potstill.evaluation.procedures import images_in_training
from potstill.evaluation.recipes import default_recipe, find_recipe
from potstill.evaluation.series import TrainingSeries, measure
from potstill.evaluation.session import Session
from potstill.evaluation.specs import trained_on_random, training_on
from potstill.evaluation.training import TrainAndTest
from potstill.networks import InitialWeights
from potstill.runtime.lock import locked
from potstill.schema.evaluation import Evaluation, NetworkResult, real_images_per_class
from potstill.schema.exchange import CurvePoint, Exchange, NetworkExchange
from potstill.schema.recipe import Recipe
from potstill.schema.shapes import bytes_of, kind_of
from potstill.synthetic import SyntheticSet
from potstill.units import Runner, UnitLog

FIRST_FIGURES = (1, 2, 5)


def exchange(
    synthetic: SyntheticSet,
    data: ImageDataset | Session,
    *,
    recipe: str | Recipe | None = None,
    networks: Sequence[str] = ("convnet",),
    repeats: int = 5,
    evaluation: str | Path | EvaluationFile | None = None,
    record: str | Path | None = None,
) -> Exchange:
    """Measure how many random real images of each class teach networks as much as a set does.

    Networks are trained on 1, 2, 5, 10, 20, 50, ... random real images per class, by the recipe that they are trained
    on the set by, and with new images for each repeat and each number. The curve ends with the first number that is
    clearly better than the set, or with the size of the smallest class. The set's own accuracies, and those on as many
    random images, are those of :func:`evaluate`.

    Args:
        synthetic: the set.
        data: the dataset that it was made from, or a session that also sets seed, device, initial weights, executor and
            progress.
        recipe: a name in ``RECIPES``, or a recipe of your own. None uses the default for such a set.
        networks: specs, such as ``("convnet", "resnet18")``.
        repeats: the least number of trainings of each network on the set and at each point of the curve; results on
            record may have more. At least two give an interval.
        evaluation: an ``evaluation.json`` with results of the set, to which missing ones are added. Without it, the set
            is measured again by every call.
        record: an ``exchange.json`` to write, updated after every point. Networks of the same protocol that it already
            holds stay there.

    Returns:
        The curve and the number of images for each network that could be trained on the set.

    Raises:
        UserError: the recipe replays learned steps, or as for :func:`evaluate`.
    """
    session = Session.of(data)
    check_set(synthetic)
    recipe = recipe if isinstance(recipe, Recipe) else find_recipe(recipe or default_recipe(synthetic))
    check_exchangeable(recipe)
    own = real_images_per_class(len(synthetic), synthetic.class_count)
    numbers = curve_numbers(max(min(session.dataset.train.class_sizes), 1), own)
    images, longest = _work(recipe, synthetic, numbers, repeats)
    compute = session.settled(images)  # the curve is measured as the set is
    file = None if record is None else MeasuredFile(Exchange, record)
    with (
        locked(file.path) if file is not None else nullcontext(),
        replace(session, compute=compute).with_crew(compute, images=images, longest=longest) as session,
    ):
        found = evaluate(
            synthetic,
            session,
            recipe=recipe,
            networks=networks,
            repeats=repeats,
            baselines=("random",),
            record=evaluation,
        )
        asked = _without_curves(synthetic, session.dataset, found)
        result = asked if file is None else file.earlier(asked) or asked
        if file is not None:
            file.save(result)  # it may be in a file beside the main one
        log = UnitLog.beside(None if file is None else file.path)
        with session.runner(compute, log) as runner:
            weights = InitialWeights(**dict(found.initial))
            base = training_on(session.dataset, runner.workplace, recipe, session.seed, weights)
            for network in dict.fromkeys(name for name in networks if name in found.usable):
                earlier = result.networks.get(network, NetworkExchange(accuracies=[]))

                def on_random(
                    number: int, network: str = network, earlier: NetworkExchange = earlier
                ) -> TrainingSeries:
                    spec = trained_on_random(number, _at(base, number, own), runner.workplace, synthetic, repeats)
                    named = replace(spec, trained_on=f"{number} random {kind_of(session.dataset.shape)}s per class")
                    if number == own:
                        return TrainingSeries(network, named, found.baselines["random"].get(network))
                    return TrainingSeries(network, named, _on_record(earlier, number, repeats))

                for curve in _curve(runner, found.usable[network], earlier, numbers, on_random):
                    result.networks[network] = curve
                    if file is not None:
                        file.save(result)
    return result


def curve_numbers(largest: int, own: int) -> tuple[int, ...]:
    """The numbers of images per class of a curve, in ascending order: 1, 2, 5, 10, 20, 50 and so on.

    Args:
        largest: the size of the smallest class, with which the curve ends.
        own: the number of a set, which is one of them if the classes are large enough.
    """
    decades = (10**power * figure for power in range(len(str(largest))) for figure in FIRST_FIGURES)
    return tuple(sorted({number for number in (*decades, own) if number < largest} | {largest}))


def _work(recipe: Recipe, synthetic: SyntheticSet, numbers: Sequence[int], repeats: int) -> tuple[int, int]:
    """About as many images as networks see, in all trainings and in the longest.

    Most curves end before ten times the size of the set.
    """
    own = real_images_per_class(len(synthetic), synthetic.class_count)
    on_random = [recipe.epochs * number * synthetic.class_count for number in numbers if number <= 10 * own]
    on_set = images_in_training(recipe, len(synthetic), synthetic.pictures)
    trainings = repeats + len(recipe.learning_rate_grid)
    return trainings * (sum(on_random) + on_set), max(*on_random, on_set)


def _without_curves(synthetic: SyntheticSet, dataset: ImageDataset, found: Evaluation) -> Exchange:
    """The record of the protocol of an evaluation, without any results."""
    return Exchange(
        recipe=found.recipe,
        seed=found.seed,
        initial=found.initial,
        classes=synthetic.class_count,
        image_bytes=bytes_of(dataset.shape),
        set_bytes=synthetic.size_bytes,
        set_sha256=found.set_sha256,
        dataset_fingerprint=found.dataset_fingerprint,
    )


def _at(base: TrainAndTest, number: int, own: int) -> TrainAndTest:
    """The randomness of a point: as in an evaluation at the set's own number, and independent of it at any other."""
    return base if number == own else replace(base, stream=(*base.stream, "exchange", number))


def _on_record(earlier: NetworkExchange, number: int, repeats: int) -> NetworkResult | None:
    """The result of a point on record, if it has enough repeats."""
    for point in earlier.points:
        if point.images_per_class == number and len(point.accuracies) >= repeats:
            return NetworkResult(
                accuracies=point.accuracies,
                seconds=point.seconds,
                learning_rate=point.learning_rate,
                made_on=earlier.made_on,
            )
    return None


def _curve(
    runner: Runner,
    on_set: NetworkResult,
    earlier: NetworkExchange,
    numbers: Sequence[int],
    on_random: Callable[[int], TrainingSeries],
) -> Iterator[NetworkExchange]:
    """Measure the curve of random images until it is clearly above the set.

    Args:
        runner: does the trainings.
        on_set: the result of the network on the set.
        earlier: the curve on record; what it has beyond the last point is kept until the curve has ended.
        numbers: of images per class, in ascending order.
        on_random: from such a number to the trainings.

    Yields:
        The curve after every point. If a training fails, the last one says why.
    """
    points: list[CurvePoint] = []
    made_on = on_set.made_on
    for number in numbers:
        series = on_random(number)
        for _ in measure(runner, [series]):
            pass
        result = series.result
        made_on = list(dict.fromkeys([*made_on, *result.made_on]))
        later = [point for point in earlier.points if point.images_per_class > number]
        curve = NetworkExchange(accuracies=on_set.accuracies, made_on=made_on)
        if not result.usable:
            failed = f"on {series.spec.trained_on}: {result.failed}"
            yield replace(curve, points=[*points, *later], failed=failed)
            return
        points.append(
            CurvePoint(
                images_per_class=number,
                accuracies=result.accuracies,
                seconds=result.seconds,
                learning_rate=result.learning_rate,
            )
        )
        ends = points[-1].is_above(on_set.accuracies)
        yield replace(curve, points=[*points] if ends else [*points, *later])
        if ends:
            return
