"""Running a reproduction: row after row, resumed where it stopped, published and measured side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from potstill.applications import search
from potstill.data import ImageDataset, load_dataset
from potstill.distillation import distill
from potstill.evaluation import NetworkResult, evaluate
from potstill.evaluation.statistics import summary
from potstill.methods import Method
from potstill.reproductions.base import Published, Reproduction, Row
from potstill.run_folder import RunFolder
from potstill.runtime.compute import resolve_compute
from potstill.runtime.errors import UserError
from potstill.runtime.files import sha256, write_json
from potstill.runtime.machine import machine_in_words
from potstill.settings import LONG_RUN_PIXELS, Settings
from potstill.synthetic import SyntheticSet
from potstill.training.experts import ExpertPlan, train_experts

SCHEMA = 1
RECORD = "reproduction.json"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one network of one row.

    Attributes:
        row: its label.
        network: the spec.
        published: what was published, if anything was.
        measured: the accuracies.
        iterations: done, and of the published run.
        seconds: to distil.
    """

    row: str
    network: str
    published: Published | None
    measured: NetworkResult
    iterations: tuple[int, int]
    seconds: float

    @property
    def verdict(self) -> str:
        """Where the measured mean lies beside the published interval."""
        if self.measured.failed is not None:
            return f"failed: {self.measured.failed}"
        return "nothing published" if self.published is None else self.published.verdict(self.measured.mean)

    def to_json(self) -> dict[str, Any]:
        """The entry of ``reproduction.json``."""
        measured = {"failed": self.measured.failed} if self.measured.failed else summary(self.measured.accuracies)
        return {
            "row": self.row,
            "network": self.network,
            "published": None if self.published is None else asdict(self.published),
            "measured": measured,
            "verdict": self.verdict,
            "iterations": {"done": self.iterations[0], "published": self.iterations[1]},
            "seconds": self.seconds,
        }


def reproduce(
    reproduction: Reproduction,
    out: Path,
    *,
    scale: float = 1.0,
    time_limit: float | None = None,
    repeats: int | None = None,
    rows: Sequence[str] = (),
    dataset: str | None = None,
    data_root: Path | None = None,
    listen: Callable[[str], None] = lambda message: None,
) -> list[Outcome]:
    """Distil and evaluate every row, and keep what comes of it in ``out``.

    A second call goes on where the first was stopped: finished runs and repeats are not done again.

    Args:
        reproduction: the table.
        out: the folder: a run for each row, and ``reproduction.json``.
        scale: the share of the published iterations to do; all by default.
        time_limit: seconds for each distillation.
        repeats: trainings of each network, in place of the table's.
        rows: labels of the rows to do; all by default.
        dataset: another name or place of the dataset, in place of the table's.
        data_root: local copies of catalogue datasets.
        listen: told of each step in a few words.

    Raises:
        UserError: a row is unknown, or a run in ``out`` was made otherwise.
    """
    if not 0 < scale <= 1:
        raise UserError(f"a scale of {scale} is none", "use --scale above 0 and at most 1")
    wanted = _wanted(reproduction, rows)
    outcomes: list[Outcome] = []
    datasets: dict[str, ImageDataset] = {}
    for row in wanted:
        settings = replace(row.settings, dataset=dataset) if dataset else row.settings
        if settings.dataset not in datasets:
            datasets[settings.dataset] = load_dataset(
                settings.dataset, data_root=data_root, image_size=settings.image_size, zca=settings.zca
            )
        data = datasets[settings.dataset]
        outcomes += _row(reproduction, row, settings, data, out, scale, time_limit, repeats, listen)
        _write(out, reproduction, outcomes, scale)
    return outcomes


def _row(
    reproduction: Reproduction,
    row: Row,
    settings: Settings[Method],
    dataset: ImageDataset,
    out: Path,
    scale: float,
    time_limit: float | None,
    repeats: int | None,
    listen: Callable[[str], None],
) -> list[Outcome]:
    published = settings.resolved(dataset).iterations or 0
    folder = RunFolder(out / row.folder)
    asked = replace(settings, iterations=round(published * scale))
    if row.experts is not None:
        plan = replace(row.experts, dataset=settings.dataset)
        asked = replace(asked, method=replace(asked.method, experts=str(_experts(plan, dataset, out, listen))))
    if not (folder.manifest.exists() and folder.read_manifest()["status"] in ("complete", "time limit")):
        listen(f"{row.label}: distilling")
        distill(asked, dataset, out=folder.path, resume=folder.config.exists(), time_limit=time_limit)
    manifest = folder.read_manifest()
    synthetic = SyntheticSet.load(folder.synthetic)
    done = (manifest["iterations"]["done"], published)
    if row.search is not None:
        return [_searched(reproduction, row, synthetic, dataset, folder, done, manifest["seconds"], listen)]
    listen(f"{row.label}: evaluating by {reproduction.recipe}")
    evaluation = evaluate(
        synthetic,
        dataset,
        recipe=reproduction.recipe,
        networks=list(row.published),
        repeats=repeats or reproduction.repeats,
        baselines=("full",) if row.full else (),
        progress=listen,
        record=folder.evaluation,
    )
    results = evaluation.baselines["full"] if row.full else evaluation.networks
    return [
        Outcome(
            row=row.label,
            network=network,
            published=figure,
            measured=results[network],
            iterations=done,
            seconds=manifest["seconds"],
        )
        for network, figure in row.published.items()
    ]


def _searched(
    reproduction: Reproduction,
    row: Row,
    synthetic: SyntheticSet,
    dataset: ImageDataset,
    folder: RunFolder,
    done: tuple[int, int],
    seconds: float,
    listen: Callable[[str], None],
) -> Outcome:
    """The network that a search with the set finds, trained on the full data; beside the one that was published."""
    listen(f"{row.label}: searching")
    found = search(
        synthetic,
        dataset,
        space=str(row.search),
        recipe=reproduction.recipe,
        compute=resolve_compute(long_run=True),
        record=folder.path / "search.json",
        progress=listen,
    )
    best = found.ranked[0]
    ((theirs, figure),) = row.published.items()
    return Outcome(
        row=f"{row.label} ({len(found.candidates)} candidates in {found.seconds:.0f} s; published: {theirs})",
        network=best,
        published=figure,
        measured=found.full[best],
        iterations=done,
        seconds=seconds,
    )


def _experts(plan: ExpertPlan, dataset: ImageDataset, out: Path, listen: Callable[[str], None]) -> Path:
    """The folder of the experts of a plan, trained if they are not all there."""
    named = sha256(repr(plan).encode())[:8]
    folder = out / f"experts-{named}"
    pixels = plan.images_seen(dataset) * math.prod(dataset.shape[1:])
    compute = resolve_compute(long_run=pixels >= LONG_RUN_PIXELS)

    def tell(expert: dict[str, Any]) -> None:
        listen(f"expert {expert['number'] + 1} of {plan.count}: {expert['seconds']:.0f} s")

    train_experts(plan, dataset, folder, compute, resume=folder.exists(), listen=tell)
    return folder


def _wanted(reproduction: Reproduction, labels: Sequence[str]) -> list[Row]:
    known = {row.label: row for row in reproduction.rows}
    for label in labels:
        if label not in known:
            raise UserError(f"{reproduction.name} has no row {label!r}", f"its rows are {', '.join(known)}")
    return [row for row in reproduction.rows if not labels or row.label in labels]


def _write(out: Path, reproduction: Reproduction, outcomes: Sequence[Outcome], scale: float) -> None:
    record = {
        "schema": SCHEMA,
        "name": reproduction.name,
        "title": reproduction.title,
        "source": reproduction.source,
        "recipe": reproduction.recipe,
        "scale": scale,
        "machine": machine_in_words(),
        "notes": list(reproduction.notes),
        "outcomes": [outcome.to_json() for outcome in outcomes],
    }
    write_json(out / RECORD, record)
