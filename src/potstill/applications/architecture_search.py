"""Architecture search: all candidates are trained on a small set, only the best of them on the full data."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import torch

from potstill.data import ImageDataset
from potstill.evaluation import (
    FullTraining,
    Recipe,
    Session,
    check_fits,
    find_recipe,
    measure_full,
    validation_accuracy,
)
from potstill.evaluation.checks import check_repeats, check_validation
from potstill.networks import ImageShape, build_network
from potstill.runtime.bounds import check_least
from potstill.runtime.compute import Compute
from potstill.runtime.errors import UserError, differing, unknown
from potstill.runtime.lock import locked
from potstill.runtime.machine import machine_in_words
from potstill.runtime.parallel import cpu_workers
from potstill.runtime.progress import Pace
from potstill.runtime.streams import Streams
from potstill.schema.search import Candidate, SearchResult
from potstill.synthetic import SyntheticSet

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
    session = replace(session, dataset=dataset.to(compute.device), compute=compute, initial="random")
    with cpu_workers(compute.device), locked(path) if path is not None else nullcontext():
        found, pace, trained = _earlier(path, asked) or asked, Pace(), 0
        wanted = repeats * len(specs) - sum(len(each.accuracies) for each in found.candidates.values())
        for name, spec in specs.items():
            for repeat in range(len(found.candidates.get(name, Candidate(spec=spec)).accuracies), repeats):
                done = found.candidates.get(name, Candidate(spec=spec))
                if done.failed:
                    break
                streams = Streams(session.seed).child("search", "repeat", repeat)
                found.candidates[name] = made = _trained(done, synthetic, session.dataset, recipe, streams, compute)
                trained += 1
                measured = made.failed or f"{made.accuracies[-1]:.1%} on the validation split"
                session.progress(f"{name}: {measured}, {pace.left(trained, max(wanted, trained))} for the ranking")
                _keep(path, found)
        for name in found.ranked[:top]:
            known = found.full.get(name)
            if not found.candidates[name].failed and (known is None or known.epochs != full.epochs):
                session.progress(f"{name}: training on the full data")
                found.full[name] = measure_full(session, specs[name], recipe=recipe, full=full)
                _keep(path, found)
    return found


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


def _trained(
    done: Candidate, synthetic: SyntheticSet, dataset: ImageDataset, recipe: Recipe, streams: Streams, compute: Compute
) -> Candidate:
    """The candidate after one more repeat."""
    started = time.perf_counter()
    try:
        network = build_network(done.spec, ImageShape(*dataset.shape), dataset.class_count, torch.Generator())
        accuracy = validation_accuracy(
            synthetic, dataset, recipe=recipe, network=done.spec, streams=streams, compute=compute
        )
    except UserError as error:
        return replace(done, failed=error.problem)
    return replace(
        done,
        accuracies=[*done.accuracies, accuracy],
        seconds=done.seconds + time.perf_counter() - started,
        made_on=list(dict.fromkeys([*done.made_on, f"{compute}; {machine_in_words()}"])),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
    )


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
