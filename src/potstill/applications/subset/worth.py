"""What a choice is worth: networks trained on it, beside networks trained on as many random images of each class."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from potstill.applications.subset.candidates import Candidates
from potstill.data import ImageDataset
from potstill.evaluation import Session, find_recipe
from potstill.evaluation.checks import check_networks, check_repeats, check_test
from potstill.evaluation.series import TrainingSeries, TrainingSpec, measure
from potstill.evaluation.specs import training_on
from potstill.networks import default_network
from potstill.runtime.bounds import check_least, check_memory
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams
from potstill.schema.evaluation import NetworkResult
from potstill.schema.recipe import Recipe
from potstill.schema.shapes import is_vector
from potstill.schema.subset import ChosenAndRandom, Worth
from potstill.selection.random import random_subset
from potstill.synthetic import SyntheticSet
from potstill.units import UnitLog


@dataclass(frozen=True, kw_only=True)
class Judging:
    """How a choice is measured.

    Attributes:
        recipe: how networks are trained; see ``potstill list recipes``. None takes ``quick``, for vectors
            ``probe-1000``.
        networks: specs; None takes the network of the data, ``convnet`` or ``linear``.
        repeats: trainings of each network, on the choice and on random images.
        epochs: instead of the recipe's number.
    """

    recipe: str | None = None
    networks: Sequence[str] | None = None
    repeats: int = 5
    epochs: int | None = None

    def for_dataset(self, dataset: ImageDataset) -> tuple[Recipe, Sequence[str]]:
        """The recipe and the networks of the trainings.

        Raises:
            UserError: the recipe is unknown or not for real images, or there is not one epoch.
        """
        usual = "probe-1000" if is_vector(dataset.shape) else "quick"
        recipe = recipe_of(self.recipe, self.epochs, usual)
        return recipe, (default_network(dataset.shape),) if self.networks is None else self.networks


def recipe_of(name: str | None, epochs: int | None, usual: str) -> Recipe:
    """A recipe, perhaps with another number of epochs and a name that says so.

    Args:
        name: of the recipe; None takes the usual one.
        epochs: instead of its number.
        usual: the name of the one that suits the data.

    Raises:
        UserError: the recipe is unknown, tunes learning rates or repeats learned steps, or there is not one epoch.
    """
    check_least("epochs", epochs, 1)
    recipe = find_recipe(usual if name is None else name)
    if recipe.learning_rate_grid or recipe.replay or recipe.learned_rate:
        raise UserError(
            f"{recipe.name} takes learning rates or steps of a synthetic set, and this is real data",
            f"use `recipe={usual}`, for example",
        )
    if epochs is None:
        return recipe
    summary = f"{recipe.summary}; here {epochs} epochs"
    return replace(recipe, name=f"{recipe.name}-{epochs}-epochs", summary=summary, epochs=epochs)


@dataclass(frozen=True)
class Trainings:
    """What measures a choice: trainings on the dataset that it is chosen from."""

    dataset: ImageDataset
    recipe: Recipe
    networks: Sequence[str]
    repeats: int


def trainings_of(judging: Judging, candidates: Candidates) -> Trainings:
    """The trainings that measure a choice. Those that are impossible are refused before anything is done.

    Raises:
        UserError: there is no dataset or no test split, or the recipe, a network or the number of repeats will not do.
    """
    if candidates.dataset is None:
        raise UserError(
            f"{candidates.name} is a file of vectors, none of which are for testing",
            "leave `judging` out, or make the candidates with `Candidates.of_dataset`",
        )
    check_repeats(judging.repeats)
    check_test(candidates.dataset)
    recipe, networks = judging.for_dataset(candidates.dataset)
    check_networks(networks, candidates.dataset)
    return Trainings(candidates.dataset, recipe, networks, judging.repeats)


def measure_worth(
    session: Session,
    chosen: Tensor,
    counts: Sequence[int],
    *,
    recipe: Recipe,
    networks: Sequence[str],
    repeats: int,
    log: UnitLog | None = None,
) -> Iterator[Worth]:
    """Train networks on the chosen training images or vectors, and on random ones, new for each repeat.

    Args:
        session: the dataset, device, seed, executor and progress.
        chosen: int64, the positions of the chosen in the training split.
        counts: how many there are of each class.
        recipe: how networks are trained.
        networks: specs.
        repeats: trainings of each network, on either.
        log: the results on record; None keeps results in memory.

    Yields:
        The results so far, whenever there is a new one, as soon as there are some on both.

    Raises:
        UserError: there is too little memory for what is chosen.
    """
    train = session.dataset.train
    image = 4 * train.nbytes // max(len(train), 1)
    remedy = (
        "choose fewer, or use fewer `repeats`"
        if train.holds_vectors
        else "choose fewer, use fewer `repeats`, or a smaller `image_size`"
    )
    check_memory("what is chosen in all repeats", (repeats + 1) * len(chosen) * image, remedy)
    weight = recipe.epochs * len(chosen)
    worth = Worth(recipe=recipe)
    compute = session.settled(2 * repeats * len(networks) * weight)
    with session.runner(compute, log, images=2 * repeats * len(networks) * weight, longest=weight) as runner:
        materials = runner.workplace.materials
        base = training_on(session.dataset, runner.workplace, recipe, session.seed, purpose="subset")

        def spec(name: str, choose: Callable[[tuple[str | int, ...]], str]) -> TrainingSpec:
            return TrainingSpec(trained_on=name, repeats=repeats, each=base, choose=choose, weight=weight)

        def drawn(stream: tuple[str | int, ...]) -> str:
            draws = Streams(session.seed, stream).generator("random images")
            return materials.add(SyntheticSet.from_indices(train, random_subset(train, counts, draws)))

        own = materials.add(SyntheticSet.from_indices(train, chosen.to(train.device)))
        for network in dict.fromkeys(networks):
            series = [
                TrainingSeries(network, spec("the choice", lambda _stream: own)),
                TrainingSeries(network, spec(f"random {'vectors' if train.holds_vectors else 'images'}", drawn)),
            ]
            for _ in measure(runner, series):
                on_choice, on_random = (each.result for each in series)
                if not all(each.accuracies or each.failed for each in (on_choice, on_random)):
                    continue  # nothing to compare yet; the log has what was measured
                worth.networks[network] = ChosenAndRandom(chosen=_kept(on_choice), random=_kept(on_random))
                yield worth


def _kept(result: NetworkResult) -> NetworkResult:
    """The result without its tables of confusions, which a choice's record does not show."""
    return replace(result, confusion=[])
