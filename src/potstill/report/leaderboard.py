"""A leaderboard of many runs: what each set is worth, beside random images and published results."""

from __future__ import annotations

import html
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from potstill.report import wording
from potstill.report.page import rendered
from potstill.runtime.errors import UserError
from potstill.runtime.files import write_atomic
from potstill.runtime.reading import read_toml
from potstill.runtime.safetensors_io import UNREADABLE, read_header
from potstill.schema.evaluation import Evaluation, NetworkResult
from potstill.schema.fields import Fields, Positive
from potstill.schema.manifest import Manifest
from potstill.schema.published import Published
from potstill.schema.published_results import published_result
from potstill.schema.run_folder import RunPaths
from potstill.schema.shapes import kind_of

NAME = "leaderboard"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A set, judged by one recipe and network.

    Attributes:
        dataset: what was distilled.
        ipc: stored images per class.
        method: the name of the method.
        formation: the pictures along each side of a stored image.
        labels: ``hard`` or ``soft``; empty if the set is not there any more.
        recipe: name and version.
        network: spec of the network.
        result: its accuracies.
        random: those of random real images by the same recipe, if they were measured.
        set_bytes: the size of the set.
        seconds: how long it took to make.
        iterations: how many iterations were done.
        published: the published result, if the network is a ConvNet of the usual depth and width and one is known.
        folder: the run's folder.
        kind: what the set holds: ``image`` or ``vector``.
    """

    dataset: str
    ipc: int
    method: str
    formation: int
    labels: str
    recipe: str
    network: str
    result: NetworkResult
    random: NetworkResult | None
    set_bytes: int
    seconds: float
    iterations: int
    published: Published | None
    folder: Path
    kind: str = "image"

    @property
    def intervals(self) -> tuple[tuple[float, float], tuple[float, float]] | None:
        """The 95 % intervals on the set and on random images; None without both."""
        random = None if self.random is None else self.random.interval
        return None if self.result.interval is None or random is None else (self.result.interval, random)

    @property
    def verdict(self) -> str:
        """Our result beside the published one and beside random images, in a few words."""
        if self.intervals is not None:
            own, random = self.intervals
            if own[1] < random[0]:
                return f"below random {self.kind}s"
            if own[0] <= random[1]:
                return f"not apart from random {self.kind}s"
        if self.published is None:
            return ""
        ours = 100 * self.result.mean
        if self.published.std is None:
            return "above the published" if ours > self.published.mean else "below the published"
        return {"inside": "as published", "above": "above the published", "below": "below the published"}[
            self.published.verdict(self.result.mean)
        ]


def collected(folders: Iterable[Path]) -> list[Row]:
    """The rows of all runs in some folders, at any depth; by dataset and images per class, the best first.

    Args:
        folders: where to look for runs.

    Raises:
        UserError: a folder is absent, there is no evaluated run, or a record is damaged.
    """
    rows: list[Row] = []
    places = [Path(folder) for folder in folders]
    for place in places:
        if not place.is_dir():
            raise UserError(f"{place} is not a directory", "name a folder with runs of potstill distill")
    manifests = {file.resolve(): file for place in places for file in place.rglob(RunPaths(place).manifest.name)}
    for manifest in sorted(manifests.values()):
        if RunPaths(manifest.parent).config.is_file():  # otherwise it is the manifest of something else
            rows += _rows_of(RunPaths(manifest.parent))
    if not rows:
        raise UserError(
            f"there is no evaluated run in {', '.join(map(str, places))}", "evaluate one first: potstill evaluate RUN"
        )
    return sorted(rows, key=lambda row: (row.dataset, row.ipc, -row.result.mean, str(row.folder), row.recipe))


def write_leaderboard(folders: Sequence[Path], out: Path) -> list[Row]:
    """Write ``leaderboard.md`` and ``leaderboard.html`` about all runs in some folders, and return their rows.

    Args:
        folders: where to look for runs.
        out: the folder to write to.

    Raises:
        UserError: as for :func:`collected`, or a page cannot be written.
    """
    rows = collected(folders)
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / f"{NAME}.md", markdown(rows, out).encode())
    write_atomic(out / f"{NAME}.html", page(rows, out).encode())
    return rows


def markdown(rows: Sequence[Row], beside: Path) -> str:
    """The rows as Markdown tables, one for each dataset.

    Args:
        rows: as ``collected`` returns them.
        beside: the folder that links start from.
    """
    lines = ["# Leaderboard", "", lead(rows), "", note(rows)]
    for dataset in dict.fromkeys(row.dataset for row in rows):
        own = [row for row in rows if row.dataset == dataset]
        names = columns(own)
        lines += ["", f"## {dataset}", "", f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
        for row in own:
            method, *cells = (html.escape(cell).replace("|", "\\|") for cell in cells_of(row))
            link = f"[{method}]({_link(row.folder, beside)})"
            lines.append(f"| {' | '.join([link, *cells])} |")
    return "\n".join([*lines, ""])


def page(rows: Sequence[Row], beside: Path) -> str:
    """The rows as a page of HTML."""
    datasets = [
        (dataset, columns(own), [(cells_of(row), _link(row.folder, beside)) for row in own])
        for dataset in dict.fromkeys(row.dataset for row in rows)
        if (own := [row for row in rows if row.dataset == dataset])
    ]
    facts = [wording.images(len(rows), "result"), wording.images(len(datasets), "dataset")]
    return rendered(
        "leaderboard.html.jinja",
        title="Leaderboard",
        dated="",
        facts=facts,
        lead=lead(rows),
        remarks=(note(rows),),
        datasets=datasets,
    )


def columns(rows: Sequence[Row]) -> tuple[str, ...]:
    """The names of the columns of a table."""
    return (
        "method",
        "per class",
        "labels",
        "recipe, network",
        "accuracy, %",
        "95 % interval",
        f"random {_held(rows)}, %",
        "size",
        "made in",
        "iterations",
        "published, %",
        "verdict",
    )


def note(rows: Sequence[Row]) -> str:
    """What the numbers are, and what they are not."""
    held = _held(rows)
    return (
        f"Accuracies are means over trainings on the set, on the test {held}. Results of different recipes and of "
        "different labels are not comparable. Learned (soft) labels carry more information for each "
        f"{_held(rows, '')}. Random {held} are as many real ones, judged by the same recipe. Networks start from "
        "random weights. Published results were judged by the recipes of their own papers, some of which train longer "
        "on a formation; here it gets no extra steps."
    )


def _held(rows: Sequence[Row], plural: str = "s") -> str:
    """What the sets hold: ``images``, ``vectors`` or ``images or vectors``."""
    return " or ".join(sorted({row.kind + plural for row in rows}))


def lead(rows: Sequence[Row]) -> str:
    """How many of the results that can be compared with random images by intervals lie above them, in one sentence."""
    judged = [row for row in rows if row.intervals is not None and row.method != "random"]
    if not judged:
        return f"No result stands beside random {_held(rows)} of the same number, both with an interval."
    above = sum(own[0] > random[1] for own, random in (row.intervals for row in judged if row.intervals))
    return f"{above} of {len(judged)} results that have random {_held(rows)} beside them lie clearly above these."


def cells_of(row: Row) -> list[str]:
    """The texts of a row, in the order of ``columns``."""
    formation = f", f = {row.formation}" if row.formation > 1 else ""
    return [
        row.method + formation,
        str(row.ipc),
        row.labels,
        f"{row.recipe}, {wording.network_title(row.network)}",
        _accuracy(row.result),
        "" if row.result.interval is None else " to ".join(f"{100 * end:.1f}" for end in row.result.interval),
        "" if row.random is None else _accuracy(row.random),
        wording.size(row.set_bytes),
        wording.duration(row.seconds),
        f"{row.iterations:,}" if row.iterations else "",
        "" if row.published is None else str(row.published),
        row.verdict,
    ]


def _accuracy(result: NetworkResult) -> str:
    spread = "" if result.std is None else f" ± {100 * result.std:.2f}"
    return f"{100 * result.mean:.2f}{spread} × {result.repeats}"


def _rows_of(paths: RunPaths) -> list[Row]:
    """The rows of one run: one for each recipe that judged it; none if no evaluation of this set is there."""
    manifest = Manifest.read(paths.manifest)
    config = Fields.of(paths.config, read_toml(paths.config)[1])
    network, images = config.value("network", str), config.value("ipc", Positive)
    formation = config.value("formation", Positive) if "formation" in config.values else 1
    found = []
    for file in sorted(paths.path.glob("evaluation*.json")):
        evaluation = Evaluation.read(file)
        same_set = evaluation.set_sha256 == manifest.tensors_sha256
        same_data = evaluation.dataset_fingerprint in (manifest.dataset.fingerprint, "")
        from_scratch = evaluation.initial.get("source") == "random"
        if not (same_set and same_data and from_scratch and evaluation.usable):
            continue
        spec = network if network in evaluation.usable else next(iter(evaluation.usable))
        random = evaluation.baselines.get("random", {}).get(spec)
        found.append(
            Row(
                dataset=manifest.dataset.name,
                ipc=images,
                method=manifest.method.name,
                formation=formation,
                labels=_labels(paths.synthetic),
                recipe=evaluation.recipe.label,
                network=spec,
                result=evaluation.usable[spec],
                random=random if random is not None and random.usable else None,
                set_bytes=manifest.set_bytes,
                seconds=manifest.seconds,
                iterations=manifest.iterations.done,
                published=published_result(manifest.dataset.name, manifest.method.name, images, formation)
                if spec == "convnet"
                else None,
                folder=paths.path,
                kind=kind_of(manifest.dataset.shape),
            )
        )
    return found


def _labels(path: Path) -> str:
    """Whether the labels in the file of a set are classes or probabilities; empty if it is not there or unreadable."""
    try:
        declared, _ = read_header(path)
    except (FileNotFoundError, *UNREADABLE):
        return ""
    labels = declared.get("labels")
    return "" if labels is None else "hard" if labels.shape[1:] == () else "soft"


def _link(folder: Path, beside: Path) -> str:
    """The relative path from a page to a folder, as a link."""

    return quote(Path(os.path.relpath(folder, beside)).as_posix())
