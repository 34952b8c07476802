"""Run a reproduction row by row, resume it where it stopped, and compare measured with published results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from potstill.applications import search
from potstill.data import CATALOGUE, ImageDataset, load_dataset
from potstill.distillation.driver import distill, log_progress
from potstill.distillation.plan import resolve
from potstill.distillation.run_folder import RunFolder, resume_conflicts
from potstill.distillation.settings import Settings
from potstill.evaluation import (
    FullTraining,
    NetworkResult,
    Resources,
    Session,
    check_unchanged,
    evaluate,
    find_recipe,
    measure_full,
)
from potstill.evaluation.checks import check_repeats
from potstill.experts.plan import ExpertPlan
from potstill.experts.train import train_experts
from potstill.methods import Method, TaughtCoreset
from potstill.reproductions.base import Reproduction, Row, shortened
from potstill.reproductions.estimate import estimate
from potstill.runtime.compute import settled
from potstill.runtime.errors import Diverged, UserError, differing
from potstill.runtime.lock import check_locks, locked
from potstill.runtime.progress import in_words, silent
from potstill.schema.evaluation import Repeats
from potstill.schema.published import Published, PublishedIterations, PublishedSearch
from potstill.schema.recipe import Recipe
from potstill.schema.reproduction import ANOTHER, FullDataRecord, Outcome, ReproductionRecord, Searched
from potstill.schema.search import DISTILLED, SearchResult
from potstill.synthetic import SyntheticSet


def reproduce(
    reproduction: Reproduction,
    out: str | Path,
    *,
    scale: float = 1.0,
    time_limit: float | None = None,
    repeats: int | None = None,
    rows: Sequence[str] = (),
    dataset: str | None = None,
    resources: Resources = Resources(),  # noqa: B008 (a frozen value)
) -> ReproductionRecord:
    """Distil and evaluate every row of a published table, search with its sets, and keep the results in ``out``.

    A second call continues where the first was stopped: finished runs and repeats are not done again, and rows that it
    leaves out stay in the record.

    Args:
        reproduction: the table.
        out: the folder for the run of each row and for ``reproduction.json``.
        scale: the fraction of the published iterations to run, and of the recipe's epochs, above 0 and at most 1; see
            ``shortened``. Experts are trained in full.
        time_limit: seconds for each distillation, in all calls together.
        repeats: trainings of each network; by default the table's number, and one on the full data and in searches.
        rows: labels of the rows to run; all by default.
        dataset: another name or location of the dataset.
        resources: device, local data and progress. Before the first row, an estimate of the time of each row is
            announced, from a timed step.

    Returns:
        The record: the outcome of each network of each row that was run in this call or before.

    Raises:
        UserError: ``scale`` or ``repeats`` is out of range, a row is unknown, the dataset must be given, or a run in
            ``out`` was started with different settings or is being written by another process.
    """
    if not 0 < scale <= 1:
        raise UserError(f"`scale={scale:g}` is outside (0, 1]", "use `scale=0.1`, for example")
    if repeats is not None:
        check_repeats(repeats)
    out = Path(out)
    making = _Making(reproduction, out, scale, time_limit, repeats, resources)
    results: list[Outcome | Searched] = []
    datasets: dict[str, ImageDataset] = {}
    wanted = _wanted(reproduction, rows)
    own = [row.settings() for row in wanted]
    if lacking := [each.dataset for each in own if dataset is None and "FOLDER" in each.dataset]:
        raise UserError(f"{reproduction.name} needs your own copy of the images", f"use `dataset={lacking[0]}`")
    with locked(out / ReproductionRecord.FILE):
        _check_earlier(out / ReproductionRecord.FILE, reproduction)
        places = [dataset or each.dataset for each in own]
        for each, place in zip(own, places, strict=True):
            if place not in datasets:
                datasets[place] = load_dataset(
                    place,
                    data_root=resources.data_root,
                    choices=resources.choices,
                    image_size=each.image_size,
                    zca=each.zca,
                )
        if resources.announce is not silent:
            making.announce([(row, place, datasets[place]) for row, place in zip(wanted, places, strict=True)])
        for row, place in zip(wanted, places, strict=True):
            results += making.row(row, place, datasets[place])
            _record(out, reproduction, results).write(out / ReproductionRecord.FILE)
        return _record(out, reproduction, results)


@dataclass(frozen=True)
class _Making:
    """Runs the rows of a table."""

    reproduction: Reproduction
    out: Path
    scale: float
    time_limit: float | None
    repeats: int | None
    resources: Resources

    @property
    def recipe(self) -> Recipe:
        """The recipe of every evaluation."""
        return shortened(find_recipe(self.reproduction.recipe), self.scale)

    def announce(self, rows: Sequence[tuple[Row, str, ImageDataset]]) -> None:
        """Announce how long each row will take, and all of them together."""
        total = 0.0
        for row, place, dataset in rows:
            settings, _ = self._settings(row, place, dataset)
            folder = RunFolder(self.out / row.folder)
            finished = folder.manifest.exists() and folder.read_manifest().status in ("complete", "diverged")
            repeats = self.repeats or (1 if row.full else self.reproduction.repeats)
            cost = estimate(row, settings, dataset, self.recipe, repeats, self.repeats or 1, distilled=finished)
            if self.time_limit is not None:
                cost = replace(cost, distilling=min(cost.distilling, self.time_limit))
            self.resources.announce(f"{row.label}: {cost}")
            total += cost.seconds
        self.resources.announce(f"{self.reproduction.name}: about {in_words(total)} in all, estimated from timed steps")

    def row(self, row: Row, place: str, dataset: ImageDataset) -> list[Outcome | Searched]:
        """The results of a row; ``place`` is the name or location that its dataset is loaded from."""
        if row.full:
            return [self._full(row, network, place, dataset) for network in row.published]
        asked, published = self._settings(row, place, dataset)
        if row.experts is not None:
            experts = self._experts(replace(row.experts, dataset=place, **asdict(dataset.choices)), dataset)
            name = "features" if isinstance(asked.method, TaughtCoreset) else "experts"
            asked = replace(asked, method=replace(asked.method, **{name: str(experts)}))
        folder = self._distilled(row, asked, dataset)
        manifest = folder.read_manifest()
        cost: dict[str, Any] = {
            **_dataset(row, place, dataset),
            "method": asked.method.name,
            "ipc": asked.ipc,
            "folder": row.folder,
            "iterations": PublishedIterations(done=manifest.iterations.done, published=published),
            "status": manifest.status,
            "seconds": manifest.seconds,
            "scale": self.scale,
        }
        synthetic = SyntheticSet.load(folder.synthetic)
        check_unchanged(synthetic, dataset, place)
        cost["set_sha256"] = synthetic.fingerprint()
        if manifest.status != "complete":
            diverged = manifest.status == "diverged"
            cost["note"] = "diverged: its last good set" if diverged else "stopped by the time limit"
        results: list[Outcome | Searched] = []
        if row.published:
            results += self._evaluated(row, synthetic, dataset, folder, cost)
        if row.search is not None:
            results.append(self._searched(row, row.search, synthetic, dataset, folder, cost))
        return results

    def _settings(self, row: Row, place: str, dataset: ImageDataset) -> tuple[Settings[Method], int]:
        """The settings of a row at this scale, without its experts; and the published number of iterations."""
        own = row.settings()
        settings = replace(
            own,
            dataset=place,
            **asdict(dataset.choices),
            method=own.method.resolved(own.ipc, own.dataset),
            device=self.resources.compute.device,
            precision=self.resources.compute.precision,
            compile=self.resources.compute.compile,
        )
        published = resolve(settings, dataset).iterations
        return replace(settings, iterations=max(round(published * self.scale), 1) if published else 0), published

    def _distilled(self, row: Row, asked: Settings[Method], dataset: ImageDataset) -> RunFolder:
        """The row's run, continued if it is not finished and there is time left."""
        folder = RunFolder(self.out / row.folder)
        seconds = 0.0
        if folder.config.exists():
            if conflicts := resume_conflicts(asked, Settings.from_toml(folder.config, type(asked.method))):
                raise UserError(
                    f"{folder.path} was started with other settings: {differing(conflicts)}",
                    "use the options that it was started with, or another `out`",
                )
            manifest = folder.read_manifest() if folder.manifest.exists() else None
            seconds = 0.0 if manifest is None else manifest.seconds
            spent = self.time_limit is not None and seconds >= self.time_limit
            if spent or (manifest is not None and manifest.status in ("complete", "diverged")):
                return folder
        self.resources.progress(f"{row.label}: distilling")
        left = None if self.time_limit is None else self.time_limit - seconds
        listen = log_progress(self.resources.progress, row.label)
        with suppress(Diverged):  # the row is then evaluated on the last good set
            distill(asked, dataset, out=folder.path, resume="auto", time_limit=left, listen=listen)
        return folder

    def _evaluated(
        self, row: Row, synthetic: SyntheticSet, dataset: ImageDataset, folder: RunFolder, cost: Mapping[str, Any]
    ) -> list[Outcome]:
        """The outcomes of the row's networks, trained on its set."""
        self.resources.progress(f"{row.label}: evaluating by {self.recipe.name}")
        evaluation = evaluate(
            synthetic,
            self._session(dataset),
            recipe=self.recipe,
            networks=list(row.published),
            repeats=self.repeats or self.reproduction.repeats,
            baselines=(),
            record=folder.evaluation,
        )
        return [
            _outcome(row, network, published, evaluation.networks[network], cost)
            for network, published in row.published.items()
        ]

    def _full(self, row: Row, network: str, place: str, dataset: ImageDataset) -> Outcome:
        """The outcome of a network trained on the full data, kept in a file of its own for later calls."""
        recipe, repeats = self.recipe, self.repeats or 1
        named = "".join(letter if letter.isalnum() else "-" for letter in network)
        path = self.out / row.folder / f"{named}.json"
        record = FullDataRecord(
            recipe=recipe, network=network, dataset_fingerprint=dataset.fingerprint, result=NetworkResult()
        )
        if path.exists() and (stored := FullDataRecord.read(path)).protocol == record.protocol:
            record = stored
        measured = record.result
        if measured.repeats < repeats and not measured.failed:
            self.resources.progress(f"{row.label}: {network}")
            session = self._session(dataset)
            measured = measure_full(
                replace(session, compute=session.settled()),
                network,
                recipe=recipe,
                full=FullTraining(repeats=repeats),
                earlier=measured,
                keep=lambda result: replace(record, result=result).write(path),
            )
        details = {**_dataset(row, place, dataset), "scale": self.scale}
        return _outcome(row, network, row.published[network], measured, details)

    def _searched(
        self,
        row: Row,
        published: PublishedSearch,
        synthetic: SyntheticSet,
        dataset: ImageDataset,
        folder: RunFolder,
        cost: Mapping[str, Any],
    ) -> Searched:
        """The network that a search with the set finds, trained on the set and on the full data."""
        self.resources.progress(f"{row.label}: searching")
        record = folder.search
        if record.exists() and SearchResult.read(record).set_sha256 != synthetic.fingerprint():
            check_locks()
            record.unlink()  # of an earlier set of this run
        searched = search(
            synthetic,
            self._session(dataset),
            space=published.space,
            recipe=self.recipe,
            repeats=self.repeats or 1,
            record=record,
        )
        found = searched.all_proxies[DISTILLED].first
        on_set, full = searched.candidates.get(found or ""), searched.full.get(found or "", NetworkResult())
        return Searched(
            row=row.label,
            published=published,
            comparable=cost["comparable"],
            candidates=len(searched.candidates) - len(searched.skipped),
            repeats=self.repeats or 1,
            found=found,
            on_set=Repeats(accuracies=on_set.accuracies) if on_set else Repeats(failed="every candidate failed"),
            seconds=searched.seconds,
            full=_repeats(full),
            full_seconds=_once(full),
            scale=self.scale,
            status=cost["status"],
            note=cost.get("note", ""),
            made_on=list(dict.fromkeys([*(on_set.made_on if on_set else []), *full.made_on])),
        )

    def _session(self, dataset: ImageDataset) -> Session:
        resources = self.resources
        return Session(dataset, compute=resources.compute, executor=resources.executor, progress=resources.progress)

    def _experts(self, plan: ExpertPlan, dataset: ImageDataset) -> Path:
        """The folder of the experts of a plan; missing experts are trained."""
        plan = replace(plan, network=plan.trained_network(dataset.shape))  # it is part of the key
        folder = self.out / f"experts-{plan.key}"
        compute = settled(self.resources.compute, long_run=plan.is_long(dataset))
        executor, progress = self.resources.executor, self.resources.progress
        train_experts(plan, dataset, folder, compute, resume=folder.exists(), executor=executor, progress=progress)
        return folder


def _dataset(row: Row, place: str, dataset: ImageDataset) -> dict[str, Any]:
    """The dataset of an outcome, and whether its results can be compared with the published ones.

    The row's own dataset and copies of it can; a dataset of another name, shape or number of classes cannot.
    """
    own = row.settings()
    known = CATALOGUE.get(own.dataset)
    another = place != own.dataset and place in CATALOGUE
    if known is not None and own.image_size is None:
        another = another or (dataset.shape, dataset.class_count) != (known.shape, known.classes)
    return {"dataset": dataset.name, "dataset_fingerprint": dataset.fingerprint, "comparable": not another}


def _outcome(
    row: Row, network: str, published: Published | None, measured: NetworkResult, details: Mapping[str, Any]
) -> Outcome:
    """The outcome of a network of a row; ``details`` has the fields about its dataset and its cost."""
    if measured.failed is not None:
        verdict = f"failed: {measured.failed}"
    elif not details["comparable"]:
        verdict = ANOTHER
    else:
        verdict = "nothing published" if published is None else published.verdict(measured.mean)
    return Outcome(
        row=row.label,
        network=network,
        published=published,
        measured=_repeats(measured),
        training_seconds=_once(measured),
        verdict=verdict,
        made_on=measured.made_on,
        **{name: value for name, value in details.items() if name != "comparable"},
    )


def _wanted(reproduction: Reproduction, labels: Sequence[str]) -> list[Row]:
    known = {row.label: row for row in reproduction.rows}
    for label in labels:
        if label not in known:
            raise UserError(f"{reproduction.name} has no row {label!r}", f"its rows are {', '.join(known)}")
    return [row for row in reproduction.rows if not labels or row.label in labels]


def _check_earlier(path: Path, reproduction: Reproduction) -> None:
    """Make sure that a record on file is of the same table.

    Raises:
        UserError: it is of another one.
    """
    if path.exists() and (name := ReproductionRecord.read(path).name) != reproduction.name:
        raise UserError(f"{path} is of the table {name}, not of {reproduction.name}", "choose another `out`")


def _repeats(result: NetworkResult) -> Repeats:
    """The accuracies of a result; a network that was not trained failed."""
    absent = None if result.accuracies else "not trained"
    return Repeats(accuracies=result.accuracies, failed=result.failed or absent)


def _once(result: NetworkResult) -> float | None:
    """The seconds of one training and test; None without a result."""
    return result.seconds / result.repeats if result.usable else None


def _record(out: Path, reproduction: Reproduction, results: Sequence[Outcome | Searched]) -> ReproductionRecord:
    """The record with these results; those of other rows from earlier calls stay, in the order of the table."""
    path, renewed = out / ReproductionRecord.FILE, {each.row for each in results}
    earlier = ReproductionRecord.read(path) if path.exists() else None
    place = {row.label: number for number, row in enumerate(reproduction.rows)}
    known = [] if earlier is None else [*earlier.outcomes, *earlier.searches]
    every = [*(each for each in known if each.row not in renewed), *results]
    every.sort(key=lambda each: place.get(each.row, len(place)))
    return ReproductionRecord(
        name=reproduction.name,
        title=reproduction.title,
        source=reproduction.source,
        recipe=reproduction.recipe,
        notes=list(reproduction.notes),
        outcomes=[each for each in every if isinstance(each, Outcome)],
        searches=[each for each in every if isinstance(each, Searched)],
    )
