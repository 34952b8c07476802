"""Architecture search: all candidates are trained on a small set, only the best of them on the full data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import torch

from potstill.data import ImageDataset
from potstill.evaluation import FullTraining, NetworkResult, Recipe, Session, check_fits, find_recipe, measure_full
from potstill.evaluation.checks import check_repeats, check_validation
from potstill.evaluation.specs import training_on
from potstill.evaluation.training import TrainAndTest
from potstill.networks import ImageShape, build_network
from potstill.runtime.bounds import check_least
from potstill.runtime.errors import UserError, differing, unknown
from potstill.runtime.lock import locked
from potstill.runtime.progress import Pace
from potstill.schema.search import Candidate, SearchResult
from potstill.synthetic import SyntheticSet
from potstill.units import Job, Runner, UnitLog, Workplace

CONVNET_22 = MappingProxyType(
    {
        **{f"ConvNetD{depth}": f"convnet:depth={depth}" for depth in range(1, 6)},
        **{f"ConvNetW{width}": f"convnet:depth=3:width={width}" for width in (32, 64, 128, 256)},
        "ConvNetAS": "convnet:depth=3:activation=sigmoid",
        "ConvNetAR": "convnet:depth=3:activation=relu",
        "ConvNetAL": "convnet:depth=3:activation=leaky",
        "ConvNetASwish": "convnet:depth=3:activation=swish",
        "ConvNetASwishBN": "convnet:depth=3:activation=swish:norm=batch",
        "ConvNetNN": "convnet:depth=3:norm=none",
        "ConvNetBN": "convnet:depth=3:norm=batch",
        "ConvNetLN": "convnet:depth=3:norm=layer",
        "ConvNetIN": "convnet:depth=3:norm=instance",
        "ConvNetGN": "convnet:depth=3:norm=group",
        "ConvNetNP": "convnet:depth=3:pooling=none",
        "ConvNetMP": "convnet:depth=3:pooling=max",
        "ConvNetAP": "convnet:depth=3:pooling=avg",
    }
)
"""The 22 ConvNets of the DataDAM coursework, by their names there; each differs from ConvNetD3 in one respect."""

SPACES: Mapping[str, Mapping[str, str]] = MappingProxyType({"convnet-22": CONVNET_22})
"""Search spaces by name, each a mapping from the names of the candidates to their specs."""


def search(
    synthetic: SyntheticSet,
    data: ImageDataset | Session,
    *,
    space: str | Mapping[str, str] = "convnet-22",
    recipe: str | Recipe = "coursework-50",
    repeats: int = 1,
    top: int = 1,
    full_epochs: int | None = None,
    record: str | Path | None = None,
) -> SearchResult:
    """Train every network of a space on ``synthetic``, rank them, and train the best on the full data.

    Networks are ranked by their validation accuracy; the test split is used only for the best of them.

    Args:
        synthetic: the small set.
        data: the dataset that it was made from, or a session that also sets seed, device and progress.
        space: a name in ``SPACES``, or specs by name.
        recipe: how candidates are trained on the set, and the best of them on the full data.
        repeats: trainings of each candidate.
        top: how many of the best candidates are trained on the full data; may be 0.
        full_epochs: passes over the full data, instead of the recipe's number.
        record: a ``search.json`` to write, updated after every training. Trainings that it already holds are not
            repeated.

    Returns:
        The candidates with their accuracies, and the results of the best on the full data.

    Raises:
        UserError: the space or the recipe is unknown, the recipe tunes learning rates or replays learned steps, the set
            does not fit the dataset, the dataset has no validation images, or the record is of another search or is
            being written by another process.
    """
    session = Session.of(data)
    dataset = session.dataset
    check_validation(dataset, "rank networks by")
    check_fits(synthetic, dataset)
    check_repeats(repeats)
    check_least("top", top, 0)
    check_least("full_epochs", full_epochs, 1)
    recipe = _usable(find_recipe(recipe) if isinstance(recipe, str) else recipe)
    full = FullTraining(epochs=recipe.full_epochs if full_epochs is None else full_epochs)
    specs = _space(space)
    asked = SearchResult(
        space=space if isinstance(space, str) else dict(space),
        recipe=recipe,
        seed=session.seed,
        set_sha256=synthetic.fingerprint(),
        dataset_fingerprint=dataset.fingerprint,
    )
    path = None if record is None else Path(record)
    compute = session.settled()
    with locked(path) if path is not None else nullcontext():
        found = _earlier(path, asked) or asked
        with session.runner(compute, UnitLog.beside(path)) as runner:
            base = training_on(dataset, runner.workplace, recipe, session.seed, purpose="search")
            # The recipes of searches are not all made for every candidate: one that diverges is a bad candidate.
            on_set = replace(base, images=runner.workplace.materials.add(synthetic), judged_by="validation")
            for latest in _trained(runner, replace(on_set, diverging="counts"), specs, found, repeats):
                found = latest
                _keep(path, found)
            for name in found.ranked[:top]:
                known = found.full.get(name)
                if not found.candidates[name].failed and (known is None or known.epochs != full.epochs):
                    session.progress(f"{name}: training on the full data")
                    found.full[name] = measure_full(session, specs[name], recipe=recipe, full=full)
                    _keep(path, found)
    return found


def _trained(
    runner: Runner, each: TrainAndTest, specs: Mapping[str, str], found: SearchResult, repeats: int
) -> Iterator[SearchResult]:
    """Train every candidate ``repeats`` times on the set.

    Args:
        runner: does the trainings.
        each: the training, except for network and repeat.
        specs: the candidates' specs by name.
        found: the search so far.
        repeats: trainings of each candidate.

    Yields:
        The search after every training.
    """
    made = {name: found.candidates.get(name, Candidate(spec=spec)) for name, spec in specs.items()}
    ahead: dict[str, dict[int, NetworkResult]] = {name: {} for name in specs}
    pace = Pace()
    missing = sum(max(repeats - len(candidate.accuracies), 0) for candidate in made.values() if not candidate.failed)

    def jobs() -> Iterator[Job[NetworkResult, tuple[str, int]]]:
        for name, spec in specs.items():
            for repeat in range(len(made[name].accuracies), repeats):
                if made[name].failed is None:
                    unit = replace(each, network=spec, stream=(*each.stream, "repeat", repeat))
                    yield Job(unit, name, (name, repeat))

    for trained, (job, result) in enumerate(runner.results(jobs(), missing), start=1):
        name, repeat = job.owner
        measured = result.failed or f"{result.accuracies[0]:.1%} on the validation split"
        left = pace.left(trained, max(missing, trained))
        runner.progress(f"{name}: {measured}, {left} for the ranking")
        ahead[name][repeat] = result
        while (following := ahead[name].pop(len(made[name].accuracies), None)) is not None:
            made[name] = _joined(made[name], following, each, runner.workplace)
            if made[name].failed is not None:
                break
        # The order of the candidates is that of the space, whatever ended first.
        begun = {name: candidate for name, candidate in made.items() if candidate.accuracies or candidate.failed}
        yield replace(found, candidates=begun)


def _joined(done: Candidate, latest: NetworkResult, each: TrainAndTest, workplace: Workplace) -> Candidate:
    """The candidate after one more repeat."""
    if latest.failed is not None:
        return replace(done, failed=latest.failed)
    dataset = workplace.dataset(each.dataset)
    network = build_network(done.spec, ImageShape(*dataset.shape), dataset.class_count, torch.Generator())
    return replace(
        done,
        accuracies=[*done.accuracies, *latest.accuracies],
        seconds=done.seconds + latest.seconds,
        made_on=list(dict.fromkeys([*done.made_on, *latest.made_on])),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
    )


def _usable(recipe: Recipe) -> Recipe:
    """The recipe, if candidates can be ranked with it.

    Raises:
        UserError: it tunes learning rates, or replays learned steps.
    """
    if recipe.learning_rate_grid:
        raise UserError(
            f"recipe {recipe.name!r} tunes learning rates on the validation split, which ranks the candidates",
            "use a recipe with one learning rate, such as quick or modern",
        )
    if recipe.replay:
        raise UserError(
            f"recipe {recipe.name!r} uses learned steps, which are for one network",
            "use a recipe such as coursework-50",
        )
    return recipe


def _space(space: str | Mapping[str, str]) -> Mapping[str, str]:
    if isinstance(space, str):
        if space not in SPACES:
            raise unknown("search space", space, SPACES, listing=", ".join(SPACES))
        return SPACES[space]
    if not space:
        raise UserError("the search space is empty", "give at least one network spec by name")
    return space


def _earlier(path: Path | None, asked: SearchResult) -> SearchResult | None:
    if path is None or not path.exists():
        return None
    stored = SearchResult.read(path)
    if stored.set_sha256 != asked.set_sha256:
        raise UserError(f"{path} is of a search with another set", "choose another `out`")
    if stored.dataset_fingerprint != asked.dataset_fingerprint:
        raise UserError(f"{path} is of a search on another dataset", "choose another `out`")
    if stored.protocol != asked.protocol:
        options = {name: (getattr(stored, name), getattr(asked, name)) for name in ("space", "recipe", "seed")}
        options["recipe"] = (stored.recipe.label, asked.recipe.label)
        changed = {name: values for name, values in options.items() if values[0] != values[1]}
        raise UserError(f"{path} is of a search with other settings: {differing(changed)}", "choose another `out`")
    return stored


def _keep(path: Path | None, found: SearchResult) -> None:
    if path is not None:
        found.write(path)
