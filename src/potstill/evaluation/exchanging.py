"""What a set is worth in real images: how many random ones teach networks as much, by the same recipe."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from potstill.data import ImageDataset
from potstill.evaluation.file import EvaluationFile
from potstill.evaluation.measure import evaluate
from potstill.evaluation.procedures import images_in_training
from potstill.evaluation.recipes import default_recipe, find_recipe
from potstill.evaluation.series import Series, measure
from potstill.evaluation.session import Session
from potstill.evaluation.specs import trained_on_random, training_on
from potstill.networks import InitialWeights
from potstill.runtime.errors import UserError
from potstill.runtime.lock import locked
from potstill.schema.evaluation import NetworkResult, real_images_per_class
from potstill.schema.exchange import Exchange, NetworkExchange, Point
from potstill.schema.recipe import Recipe
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
    on the set by, and with new images for each repeat. The curve ends with the first number that is clearly better than
    the set, or with the size of the smallest class. The set's own accuracies are those of :func:`evaluate`.

    Args:
        synthetic: the set.
        data: the dataset that it was made from, or a session that also sets seed, device, initial weights, executor and
            progress.
        recipe: a name in ``RECIPES``, or a recipe of your own. None uses the default for such a set.
        networks: specs, such as ``("convnet", "resnet18")``.
        repeats: trainings of each network on the set and at each point of the curve; at least two give an interval.
        evaluation: an ``evaluation.json`` with results of the set, to which missing ones are added.
        record: an ``exchange.json`` to write, updated after every point.

    Returns:
        The curve and the number of images for each network that could be trained.

    Raises:
        UserError: the recipe replays learned steps, or as for :func:`evaluate`.
    """
    session = Session.of(data)
    recipe = recipe if isinstance(recipe, Recipe) else find_recipe(recipe or default_recipe(synthetic))
    if recipe.replay:
        raise UserError(
            f"recipe {recipe.name!r} replays learned steps, which are for the images of the set alone",
            "use another, such as `recipe=dsa-1000`",
        )
    own = real_images_per_class(len(synthetic), synthetic.class_count)
    numbers = curve_numbers(min(session.dataset.train.class_sizes))
    compute = session.settled(_images(recipe, synthetic, numbers, repeats))
    session = replace(session, compute=compute)  # the curve is measured as the set is
    found = evaluate(
        synthetic,
        session,
        recipe=recipe,
        networks=networks,
        repeats=repeats,
        baselines=("random",),
        record=evaluation,
    )
    asked = Exchange(
        recipe=recipe,
        seed=session.seed,
        initial=found.initial,
        classes=synthetic.class_count,
        image_bytes=math.prod(session.dataset.shape),
        set_bytes=synthetic.size_bytes,
        set_sha256=found.set_sha256,
        dataset_fingerprint=found.dataset_fingerprint,
    )
    path = None if record is None else Path(record)
    with (
        locked(path) if path is not None else nullcontext(),
        session.runner(compute, UnitLog.beside(path), images=_images(recipe, synthetic, numbers, repeats)) as runner,
    ):
        weights = InitialWeights(**dict(found.initial))
        base = training_on(session.dataset, runner.workplace, recipe, session.seed, weights)
        for network in found.usable:
            known = found.baselines["random"].get(network)

            def on_random(number: int, network: str = network, known: NetworkResult | None = known) -> Series:
                spec = trained_on_random(number, base, runner.workplace, synthetic, repeats)
                named = replace(spec, trained_on=f"{number} random images per class")
                return Series(network, named, known if number == own else None)

            for worth in _curve(runner, found.usable[network], numbers, on_random):
                asked.networks[network] = worth
                if path is not None:
                    asked.write(path)
    return asked


def curve_numbers(largest: int) -> tuple[int, ...]:
    """The numbers of images per class of a curve: 1, 2, 5, 10, 20, 50 and so on, and the largest."""
    decades = (10**power * figure for power in range(len(str(largest))) for figure in FIRST_FIGURES)
    return (*(number for number in decades if number < largest), largest)


def _images(recipe: Recipe, synthetic: SyntheticSet, numbers: Sequence[int], repeats: int) -> int:
    """About as many images as networks see: most curves end before ten times the size of the set."""
    own = real_images_per_class(len(synthetic), synthetic.class_count)
    on_random = sum(number for number in numbers if number <= 10 * own) * synthetic.class_count
    trainings = repeats + len(recipe.learning_rate_grid)
    return trainings * (recipe.epochs * on_random + images_in_training(recipe, len(synthetic), synthetic.pictures))


def _curve(
    runner: Runner,
    on_set: NetworkResult,
    numbers: Sequence[int],
    on_random: Callable[[int], Series],
) -> Iterator[NetworkExchange]:
    """Measure the curve of random images until it is clearly above the set.

    Args:
        runner: does the trainings.
        on_set: the result of the network on the set.
        numbers: of images per class, in ascending order.
        on_random: from such a number to the trainings.

    Yields:
        The curve after every point.
    """
    worth = NetworkExchange(accuracies=on_set.accuracies, made_on=on_set.made_on)
    for number in numbers:
        series = on_random(number)
        for _ in measure(runner, [series]):
            pass
        result = series.result
        if not result.usable:
            return
        point = Point(images_per_class=number, accuracies=result.accuracies, seconds=result.seconds)
        made_on = list(dict.fromkeys([*worth.made_on, *result.made_on]))
        worth = replace(worth, points=[*worth.points, point], made_on=made_on)
        yield worth
        if point.is_above(on_set.accuracies):
            return
