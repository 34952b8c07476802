"""Architecture search: candidates are trained on a small set, and only the best or a sample on the full data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from potstill.applications.architecture_search.proxies import ProxyImages, Ranking, checked_proxies
from potstill.applications.architecture_search.sample import check_sample, sampled
from potstill.applications.architecture_search.spaces import candidates_in, specs_of
from potstill.data import ImageDataset, with_fewer_images
from potstill.evaluation import Recipe, Session, check_fits, find_recipe
from potstill.evaluation.checks import check_images, check_repeats, check_validation
from potstill.evaluation.procedures import images_in_training
from potstill.evaluation.specs import trained_on_full, training_on
from potstill.networks import ImageShape
from potstill.runtime.bounds import at_least
from potstill.runtime.errors import UserError, differing
from potstill.runtime.lock import locked
from potstill.runtime.progress import Pace
from potstill.schema.search import DISTILLED, Candidate, SearchResult
from potstill.synthetic import SyntheticSet
from potstill.units import Job, Runner, UnitLog


@dataclass(frozen=True, kw_only=True)
class OnFullData:
    """Which candidates are trained on the full data, and how.

    Attributes:
        top: how many of the best by the set; may be 0.
        sample: how many are drawn whatever their rank, so that proxies can be judged; the first choice of every proxy
            is trained as well.
        epochs: passes over the full data, instead of the recipe's number.
        images: the number of training images in a random subset that is taken for the full data throughout the search;
            None takes all.

    Raises:
        UserError: a number is too small.
    """

    top: int = 1
    sample: int = 0
    epochs: int | None = None
    images: int | None = None

    def __post_init__(self) -> None:
        at_least(self, top=0, sample=0, epochs=1, images=1)


def search(
    synthetic: SyntheticSet,
    data: ImageDataset | Session,
    *,
    space: str | Mapping[str, str] = "convnet-22",
    recipe: str | Recipe = "coursework-50",
    repeats: int = 1,
    proxies: Sequence[str] = (DISTILLED,),
    full: OnFullData = OnFullData(),
    record: str | Path | None = None,
) -> SearchResult:
    """Train every network of a space on ``synthetic``, rank them, and train the best on the full data.

    Networks are ranked by their validation accuracy; the test split is used only for those that are trained on the full
    data. A network that does not fit the images is skipped.

    Args:
        synthetic: the small set.
        data: the dataset that it was made from, or a session that also sets seed, device, executor and progress.
        space: a name in ``SPACES``, or specs by name.
        recipe: how candidates are trained on the set, and the best of them on the full data.
        repeats: trainings of each candidate on each proxy.
        proxies: what candidates are ranked by, the set among it; names in ``PROXIES``.
        full: which candidates are trained on the full data, and how.
        record: a ``search.json`` to write, updated after every training. Trainings that it already holds are not
            repeated.

    Returns:
        The candidates with their accuracies, and the results of the best on the full data.

    Raises:
        UserError: the space, a proxy or the recipe is unknown, the recipe tunes learning rates or replays learned
            steps, the set does not fit the dataset, the dataset has too few images, or the record is of another search
            or is being written by another process.
    """
    session = Session.of(data)
    check_validation(session.dataset, "rank networks by")
    check_fits(synthetic, session.dataset)
    check_repeats(repeats)
    recipe = _usable(find_recipe(recipe) if isinstance(recipe, str) else recipe)
    names, specs = checked_proxies(proxies), specs_of(space)
    candidates = candidates_in(specs, ImageShape(*session.dataset.shape), session.dataset.class_count)
    fitting = {name: each for name, each in candidates.items() if not each.skipped}
    check_sample(full.sample, len(fitting))
    asked = SearchResult(
        space=space if isinstance(space, str) else dict(space),
        recipe=recipe,
        seed=session.seed,
        set_sha256=synthetic.fingerprint(),
        dataset_fingerprint=session.dataset.fingerprint,
        full_images=full.images,
        set_images=len(synthetic),
        set_bytes=synthetic.size_bytes,
    )
    check_images(session.dataset, "the candidates of a search are")
    if full.images is not None:
        session = replace(session, dataset=with_fewer_images(session.dataset, full.images, session.seed))
    path = None if record is None else Path(record)
    # Compilation must pay for each network by itself.
    compute = session.settled(repeats * len(names) * images_in_training(recipe, len(synthetic), synthetic.pictures))
    with locked(path) if path is not None else nullcontext():
        found = _earlier(path, asked) or asked
        _tell_skipped(session, candidates)
        log = UnitLog.beside(path)
        with session.runner(compute, log) as runner:
            base = training_on(session.dataset, runner.workplace, recipe, session.seed, purpose="search")
            # A recipe need not suit every candidate: one that diverges is a bad candidate.
            base = replace(base, judged_by="validation", diverging="counts")
            images = [ProxyImages(name, base, runner.workplace, synthetic, path) for name in names]
            for each in images:
                each.check()
            known = found.all_proxies
            rankings = [Ranking(each, known.get(each.name), fitting, repeats) for each in images]
            for latest in _ranked(runner, rankings, found, candidates):
                found = latest
                _keep(path, found)
        if full.sample:
            usable = [name for name in found.ranked if not found.candidates[name].failed]
            count = min(full.sample, len(usable))  # a candidate may have failed in its training
            found = replace(found, sample=sampled(specs, usable, count, session.seed))
            _keep(path, found)
        for latest in _on_full_data(session, log, found, full):
            found = latest
            _keep(path, found)
    return found


def _ranked(
    runner: Runner, rankings: Sequence[Ranking], found: SearchResult, candidates: Mapping[str, Candidate]
) -> Iterator[SearchResult]:
    """Train every candidate on every proxy.

    Args:
        runner: does the trainings.
        rankings: of the candidates that can be trained, by each proxy.
        found: the search so far.
        candidates: all of them before any training, in the order of the space.

    Yields:
        The search after every training.
    """
    missing, pace = sum(ranking.missing for ranking in rankings), Pace()

    def joined() -> SearchResult:
        tables = {ranking.name: ranking.proxy for ranking in rankings}
        trained = tables.pop(DISTILLED).candidates
        by_name = {name: trained.get(name, each) for name, each in candidates.items()}
        ours = {name: each for name, each in by_name.items() if each.accuracies or each.failed}
        begun = {name: proxy for name, proxy in tables.items() if proxy.candidates}
        return replace(found, candidates=ours, proxies={**found.proxies, **begun})

    jobs = chain.from_iterable(ranking.jobs() for ranking in rankings)
    yield joined()
    for trained, (job, result) in enumerate(runner.results(jobs, missing), start=1):
        ranking, name, repeat = job.owner
        measured = result.failed or f"{result.accuracies[0]:.1%} on the validation split"
        left = pace.left(trained, max(missing, trained))
        runner.progress(f"{job.title}: {measured}, {left} for the ranking")
        ranking.take(name, repeat, result)
        yield joined()


def _on_full_data(session: Session, log: UnitLog, found: SearchResult, full: OnFullData) -> Iterator[SearchResult]:
    """Train the best candidates and the sample on the full data.

    Args:
        session: dataset, device, seed, executor and progress.
        log: the trainings on record.
        found: the search, ranked.
        full: which candidates, and how.

    Yields:
        The search after every training.
    """
    epochs = full.epochs or found.recipe.full_epochs
    firsts = [proxy.first for proxy in found.all_proxies.values()] if full.sample else []
    wanted = dict.fromkeys([*found.ranked[: full.top], *(name for name in firsts if name), *found.sample])
    missing = [
        name
        for name in wanted
        if not found.candidates[name].failed and (name not in found.full or found.full[name].epochs != epochs)
    ]
    images = epochs * len(session.dataset.train)
    results = dict(found.full)
    with session.runner(session.settled(images), log, images=images * len(missing), longest=images) as runner:
        base = training_on(session.dataset, runner.workplace, found.recipe, session.seed)
        spec = trained_on_full(base, runner.workplace, epochs, 1)
        title = "on the full data" if found.full_images is None else f"on {found.full_images:,} images as the full data"
        jobs = (
            Job(spec.repeat(found.candidates[name].spec, 0, None), f"{name}, trained {title}", name) for name in missing
        )
        for job, result in runner.results(jobs, len(missing)):
            measured = result.failed or f"{result.accuracies[0]:.1%} on the test split"
            runner.progress(f"{job.title}: {measured}")
            results[job.owner] = result
            ordered = {name: results[name] for name in dict.fromkeys([*found.full, *wanted]) if name in results}
            yield replace(found, full=ordered)


def _tell_skipped(session: Session, candidates: Mapping[str, Candidate]) -> None:
    skipped = [f"{name} ({each.failed})" for name, each in candidates.items() if each.skipped]
    if skipped:
        session.progress(f"{len(skipped)} of {len(candidates)} candidates are skipped: {', '.join(skipped)}")


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


def _earlier(path: Path | None, asked: SearchResult) -> SearchResult | None:
    if path is None or not path.exists():
        return None
    stored = SearchResult.read(path)
    if stored.set_sha256 != asked.set_sha256:
        raise UserError(f"{path} is from a search with another set", "choose another `out`")
    if stored.dataset_fingerprint != asked.dataset_fingerprint:
        raise UserError(f"{path} is from a search on another dataset", "choose another `out`")
    if stored.protocol != asked.protocol:
        names = ("space", "recipe", "seed", "full_images")
        options = {name: (getattr(stored, name), getattr(asked, name)) for name in names}
        options["recipe"] = (stored.recipe.label, asked.recipe.label)
        changed = {name: values for name, values in options.items() if values[0] != values[1]}
        raise UserError(f"{path} is from a search with other settings: {differing(changed)}", "choose another `out`")
    return replace(stored, set_images=asked.set_images, set_bytes=asked.set_bytes)


def _keep(path: Path | None, found: SearchResult) -> None:
    if path is not None:
        found.write(path)
