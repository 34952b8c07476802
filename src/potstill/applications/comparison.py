"""A comparison of several sets: all are evaluated by the same recipe, and their differences are tested."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from itertools import combinations
from pathlib import Path

from potstill.applications.on_record import described
from potstill.data import Choices, ImageDataset
from potstill.distillation.driver import distill, log_progress
from potstill.distillation.run_folder import RunFolder
from potstill.distillation.settings import RunSettings, Settings
from potstill.evaluation import (
    Evaluation,
    EvaluationFile,
    NetworkResult,
    Recipe,
    Resources,
    Session,
    Target,
    check_fits,
    check_unchanged,
    default_recipe,
    evaluate,
    find_recipe,
    normalised_alike,
)
from potstill.evaluation.checks import check_learned_rate, check_repeats, is_normalised_like
from potstill.evaluation.procedures import images_in_training
from potstill.methods import METHODS
from potstill.networks import default_network
from potstill.runtime.errors import UserError, differing
from potstill.runtime.lock import locked
from potstill.runtime.progress import Progress
from potstill.schema.comparison import ComparedDataset, ComparedSet, Comparison, Difference, Reached, TrainedNetwork
from potstill.schema.evaluation import real_images_per_class
from potstill.schema.manifest import Manifest
from potstill.schema.run_folder import not_a_run
from potstill.schema.set_file import made_by
from potstill.schema.statistics import SIGNIFICANCE, corrected, paired_difference
from potstill.selection import SELECTIONS
from potstill.synthetic import SyntheticSet
from potstill.synthetic.hub import PREFIX


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One of the sets that are compared.

    Attributes:
        name: a short name: the last parts of its path.
        target: the set and its place.
        manifest: the manifest of its run; None if it is not that of a run.
    """

    name: str
    target: Target
    manifest: Manifest | None

    @property
    def synthetic(self) -> SyntheticSet:
        """The set."""
        return self.target.synthetic

    @property
    def images_per_class(self) -> int:
        """The images of a class, as many as random ones would be."""
        return real_images_per_class(len(self.synthetic), self.synthetic.class_count)

    @property
    def record(self) -> EvaluationFile:
        """Where its results are recorded: beside those that its place already has."""
        return EvaluationFile(self.target.beside / Evaluation.FILE, leading=False)

    @property
    def recorded(self) -> Evaluation | None:
        """Its main evaluation; None without one. That of another file in the same folder does not count."""
        found = self.record.present()
        alone = self.target.place.run is not None
        return found if found and (alone or found.set_sha256 == self.synthetic.fingerprint()) else None


@dataclass(frozen=True)
class EvaluatedSet:
    """A set with its results.

    Attributes:
        contender: the set.
        evaluation: the results of the set, by the recipe of the comparison.
    """

    contender: Contender
    evaluation: Evaluation

    @property
    def name(self) -> str:
        """The name of the set."""
        return self.contender.name

    def result(self, network: str) -> NetworkResult:
        """The result of a network on the set."""
        return self.evaluation.networks[network]


def compare(
    runs: Sequence[str | Path],
    out: str | Path,
    *,
    recipe: str | None = None,
    networks: Sequence[str] = (),
    repeats: int = 5,
    full: bool = True,
    dataset: str | None = None,
    resources: Resources = Resources(),  # noqa: B008 (a frozen value)
) -> Comparison:
    """Evaluate several sets by the same recipe and write ``comparison.json``.

    Results that are already recorded beside the sets are not measured again; new results are recorded there, beside
    those of other recipes. Each set is tested on the same images, normalised like itself. The name of a selection
    stands for a run of that selection with the dataset, images per class and seed of the first set. Such a run is
    created beside the first one if it does not exist. Seed and initial weights are those of the first set's evaluation.

    Args:
        runs: at least two sets: folders of runs or of imported sets, files of sets, ``hf:OWNER/NAME``, or, after the
            first, names of selections.
        out: the folder of the comparison.
        recipe: the recipe for all sets. By default that of the first set's evaluation, or the default for that set.
        networks: specs of networks. By default those of the first set's evaluation, or the network that was matched.
        repeats: the least number of trainings of each network on each set.
        full: also train each network once on the full data.
        dataset: another location of the first set's dataset.
        resources: device, local data and progress.

    Returns:
        The contents of ``comparison.json``.

    Raises:
        UserError: there are fewer than two sets; or, with its name, one is no set, is that of a run that was killed
            before its end, or does not fit the dataset or the recipe.
    """
    out, names = Path(out), list(map(str, runs))
    if len(names) < 2:
        raise UserError("there is nothing to compare", "name two runs, or a run and a selection such as herding")
    if _is_selection(names[0]):
        raise UserError(f"the selection {names[0]!r} comes first", "name a run first: its dataset is used")
    check_repeats(repeats)
    asked = None if recipe is None else find_recipe(recipe)
    opened = {name: _opened(name) for name in names if not _is_selection(name)}
    first = opened[names[0]]
    with _about(first.name):
        # A copy elsewhere may have other statistics; it is taken for the dataset of the first set.
        load = first.target.own_dataset if dataset is None else first.target.dataset
        data = load(dataset, resources.choices, resources.data_root, resources.progress)
    basis, recorded = _basis(first, data), first.recorded
    chosen = asked or find_recipe(recorded.recipe.name if recorded else default_recipe(first.synthetic))
    specs = list(networks) or (list(recorded.networks) if recorded else [str(basis.network)])
    contenders = _contenders(
        opened, names, data, basis, chosen, elsewhere=dataset is not None, listen=resources.progress
    )
    check_learned_rate(chosen, [contender.synthetic for contender in contenders])
    images, longest = _images(contenders, chosen, repeats), chosen.full_epochs * len(data.train) * full
    session = _session(data, recorded, chosen, resources)
    compute = session.settled(images + longest)
    session = replace(session, compute=compute)  # the same for all, so that sets do not differ by precision
    # The full data are normalised as the dataset is, if a set is; otherwise as the first set is.
    own = next((each for each in contenders if is_normalised_like(each.synthetic, data)), contenders[0])
    with (
        locked(out / Comparison.FILE),
        session.with_crew(compute, images=(images + longest) * len(contenders), longest=longest) as session,
    ):
        judged = [
            _judged(contender, session, chosen, specs, repeats, full=full and contender is own)
            for contender in contenders
        ]
        on_full = next(each.evaluation for each in judged if each.contender is own).baselines.get("full", {})
        record = _record(judged, on_full, specs, data, out)
        record.write(out / Comparison.FILE)
    return record


def _contenders(
    opened: Mapping[str, Contender],
    names: Sequence[str],
    data: ImageDataset,
    basis: RunSettings,
    recipe: Recipe,
    *,
    elsewhere: bool,
    listen: Progress,
) -> list[Contender]:
    """The sets that are compared, in order. The runs of selections are carried out if they do not exist.

    Args:
        opened: those that are not selections, by the names that the user gave.
        names: all of these names.
        data: the dataset of the first.
        basis: the settings that selections take from the first.
        recipe: how all are evaluated.
        elsewhere: whether the dataset is from another location, and may differ from what the sets were made from.
        listen: callback for progress messages.

    Raises:
        UserError: a set does not fit the dataset or the recipe, or a run of a selection is of something else.
    """

    def checked(contender: Contender) -> Contender:
        with _about(contender.name):
            _check(contender, data, recipe)
            if not elsewhere:
                check_unchanged(contender.synthetic, data, basis.dataset)
        return contender

    ready = {name: checked(contender) for name, contender in opened.items()}  # before anything is computed
    beside = opened[names[0]].target.place.path.parent
    for name in names:
        if name not in ready:
            ready[name] = checked(_opened(_selected(name, beside, basis, data, listen)))
    return _named([ready[name] for name in names])


def _images(contenders: Sequence[Contender], recipe: Recipe, repeats: int) -> int:
    """The images that one network sees in all trainings on the largest set."""
    sets = [contender.synthetic for contender in contenders]
    largest = max(images_in_training(recipe, len(each), each.pictures) for each in sets)
    return largest * (repeats + len(recipe.learning_rate_grid))


def _session(data: ImageDataset, recorded: Evaluation | None, recipe: Recipe, resources: Resources) -> Session:
    """Where all sets are evaluated, with the seed and the initial weights of the first set's evaluation."""
    # A recipe that replays learned steps uses the initial weights of each set.
    shared = recorded is not None and not recipe.replay and not recorded.recipe.replay
    return Session(
        data,
        compute=resources.compute,
        seed=recorded.seed if recorded else 0,
        initial=recorded.initial_source if recorded is not None and shared else "random",
        executor=resources.executor,
        progress=resources.progress,
    )


def _judged(
    contender: Contender, session: Session, recipe: Recipe, networks: Sequence[str], repeats: int, *, full: bool
) -> EvaluatedSet:
    """The set with its results, and those on the full data if ``full``."""
    session.progress(f"{contender.name}: evaluating by {recipe.label}")
    with _about(contender.name):
        evaluation = evaluate(
            contender.synthetic,
            replace(session, dataset=normalised_alike(session.dataset, contender.synthetic)),
            recipe=recipe,
            networks=networks,
            repeats=repeats,
            baselines=("full",) if full else (),
            record=contender.record,
        )
    return EvaluatedSet(contender, evaluation)


@contextmanager
def _about(name: str) -> Iterator[None]:
    """Name the set in every error."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{name}: {error.problem}", error.remedy) from error


def _is_selection(name: str) -> bool:
    return name in SELECTIONS and not Path(name).is_dir()


def _opened(name: str | Path) -> Contender:
    if not str(name).startswith(PREFIX) and not Path(name).exists():
        near = get_close_matches(str(name), SELECTIONS, n=1, cutoff=0.7)
        also = f"; did you mean {near[0]!r}?" if near else ""
        raise UserError(f"{name} does not exist", f"name the folder of a run, or the file of a set{also}")
    target = Target.opened(name)
    path = target.place.path
    return Contender(name=_short([path])[0], target=target, manifest=_manifest(target))


def _manifest(target: Target) -> Manifest | None:
    """The manifest of the run that made a set; None if the set is not in the folder of a run.

    Raises:
        UserError: the run was killed before its end.
    """
    run = target.place.run
    if run is None or not (run.manifest.exists() or run.config.exists()):
        return None
    if not run.manifest.exists():
        raise not_a_run(run.path)
    manifest = Manifest.read(run.manifest)
    if manifest.tensors_sha256 != target.synthetic.fingerprint():
        raise UserError(
            f"the run in {run.path} was continued and killed before its manifest was updated",
            f"continue it: potstill distill --out {run.path} --resume",
        )
    return manifest


def _basis(first: Contender, dataset: ImageDataset) -> RunSettings:
    """The settings that a selection's run takes from the first set, as far as the set records them."""
    made = first.synthetic.provenance
    recorded = "dataset" in made
    return RunSettings(
        dataset=made["dataset"] if recorded else dataset.spec or dataset.name,
        ipc=first.images_per_class,
        network=made.get("network") or default_network(first.synthetic.shape),
        seed=made.get("seed", 0),
        image_size=made.get("image_size"),
        zca=first.synthetic.whitening is not None,
        **asdict(Choices.among(made) if recorded else dataset.choices),
    )


def _check(contender: Contender, dataset: ImageDataset, recipe: Recipe) -> None:
    whitened, first = (each is not None for each in (contender.synthetic.whitening, dataset.train.whitening))
    if whitened != first:
        raise UserError(
            f"the set is {'' if whitened else 'not '}whitened, and the first set is{'' if first else ' not'}",
            "compare whitened sets with whitened ones",
        )
    check_fits(contender.synthetic, normalised_alike(dataset, contender.synthetic))
    if recipe.replay and contender.synthetic.replay is None:
        raise UserError("the set has no learned steps to replay", "use `recipe=dsa-1000`, for example")


def _selected(name: str, parent: Path, first: RunSettings, dataset: ImageDataset, listen: Progress) -> Path:
    """The folder of a selection's run in ``parent``, which is created if it does not exist."""
    settings = Settings(
        method=METHODS[name](),
        dataset=first.dataset,
        ipc=first.ipc,
        network=first.network,
        seed=first.seed,
        image_size=first.image_size,
        zca=first.zca,
        **asdict(first.choices),
    )
    folder = RunFolder(parent / settings.default_folder.name)
    if folder.config.exists():
        stored = RunSettings.of_config(folder.config)
        decisive = ["dataset", "ipc", "formation", "seed", "image_size", "zca", *asdict(first.choices)]
        if SELECTIONS[name].needs_network:
            decisive.append("network")
        both = {field: (getattr(stored, field), getattr(settings, field)) for field in decisive}
        if changed := {field: values for field, values in both.items() if values[0] != values[1]}:
            raise UserError(
                f"{folder.path} does not match the first run: {differing(changed)}",
                "name the folder of a run that matches the first, or move this one away",
            )
    if not folder.manifest.exists() or folder.read_manifest().status != "complete":
        listen(f"{name}: choosing images")
        distill(settings, dataset, out=folder.path, resume="auto", listen=log_progress(listen, name))
    return folder.path


def _named(contenders: Sequence[Contender]) -> list[Contender]:
    """The contenders with names that are distinct."""
    names = _short([contender.target.place.path for contender in contenders])
    return [replace(contender, name=name) for contender, name in zip(contenders, names, strict=True)]


def _short(paths: Sequence[Path]) -> list[str]:
    """Distinct names for paths: the last part of each path, or as many parts as are needed."""
    for depth in range(1, max(len(path.resolve().parts) for path in paths) + 1):
        names = ["/".join(path.resolve().parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    raise UserError("a run is named twice", "name each run once")


def _record(
    judged: Sequence[EvaluatedSet],
    full: Mapping[str, NetworkResult],
    networks: Sequence[str],
    dataset: ImageDataset,
    out: Path,
) -> Comparison:
    first = judged[0].evaluation
    return Comparison(
        dataset=ComparedDataset(**vars(described(dataset)), bytes=dataset.train.nbytes),
        recipe=first.recipe,
        seed=first.seed,
        initial=None if first.recipe.replay else dict(first.initial),
        networks=list(networks),
        made_on=_made_on(judged, networks, full),
        sets=[_entry(each, networks, out) for each in judged],
        full={name: _trained(result) for name, result in full.items() if name in networks},
        significance=SIGNIFICANCE,
        differences=_differences(judged, networks),
        reached={network: _reached(judged, network) for network in networks},
    )


def _entry(judged: EvaluatedSet, networks: Sequence[str], out: Path) -> ComparedSet:
    contender = judged.contender
    manifest, synthetic, place = contender.manifest, contender.synthetic, contender.target.place
    return ComparedSet(
        name=contender.name,
        method=made_by(synthetic.provenance) if manifest is None else manifest.method.name,
        status=None if manifest is None else manifest.status,
        ipc=contender.images_per_class,
        images=len(synthetic),
        bytes=synthetic.size_bytes,
        labels="soft" if synthetic.has_soft_labels else "hard",
        distilled_seconds=None if manifest is None else manifest.seconds,
        peak_memory_bytes=None if manifest is None else manifest.peak_memory_bytes,
        networks={name: _trained(judged.result(name)) for name in networks},
        folder=os.path.relpath(place.folder, out),
        file=os.path.relpath(place.file, out),
        set_sha256=synthetic.fingerprint(),
    )


def _made_on(judged: Sequence[EvaluatedSet], networks: Sequence[str], full: Mapping[str, NetworkResult]) -> list[str]:
    """The machines, precisions and versions of all results; more than one if these differ."""
    results = [each.result(name) for each in judged for name in networks]
    results += [full[name] for name in networks if name in full]
    return list(dict.fromkeys(made_on for result in results for made_on in result.made_on))


def _trained(result: NetworkResult) -> TrainedNetwork:
    if not result.usable:
        return TrainedNetwork(failed=result.failed)
    return TrainedNetwork(accuracies=result.accuracies, seconds=result.seconds / result.repeats, epochs=result.epochs)


def _differences(judged: Sequence[EvaluatedSet], networks: Sequence[str]) -> list[Difference]:
    """The difference of each pair of sets for each network, with p values corrected for their number."""
    found = {}
    for network in networks:
        for one, other in combinations(judged, 2):
            results = [each.result(network) for each in (one, other)]
            if any(result.failed for result in results):
                continue
            difference = paired_difference(results[0].accuracies, results[1].accuracies)
            if difference is not None:
                found[network, one.name, other.name] = difference
    after = corrected({key: difference.p for key, difference in found.items()})
    return [
        Difference(
            network=network,
            first=first,
            second=second,
            mean=difference.mean,
            ci95=difference.interval,
            p=difference.p,
            p_corrected=after[network, first, second],
            repeats=difference.repeats,
        )
        for (network, first, second), difference in found.items()
    ]


def _reached(judged: Sequence[EvaluatedSet], network: str) -> Reached:
    """The highest whole percent that trainings on all sets reach, and how long each set takes to reach it."""
    results = {each.name: each.result(network) for each in judged}
    usable = {name: r for name, r in results.items() if r.failed is None and r.curve_accuracy}
    if not usable:
        return Reached()
    lowest = min(max(result.curve_accuracy) for result in usable.values())
    target = min(int(100 * lowest) / 100, lowest)
    seconds = {}
    for name, result in usable.items():
        place = next(i for i, accuracy in enumerate(result.curve_accuracy) if accuracy >= target)
        seconds[name] = result.seconds / result.repeats * result.curve_epochs[place] / result.epochs
    return Reached(accuracy=target, seconds=seconds)
