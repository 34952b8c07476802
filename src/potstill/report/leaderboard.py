"""A leaderboard of many runs: what each set is worth, beside random images and published results."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from potstill.report import wording
from potstill.report.images import read_images
from potstill.report.markdown import plain, table
from potstill.report.page import rendered
from potstill.runtime.errors import UserError
from potstill.runtime.files import write_atomic
from potstill.runtime.reading import read_toml
from potstill.runtime.safetensors_io import UNREADABLE, read_header
from potstill.schema.evaluation import Evaluation, NetworkResult, real_images_per_class
from potstill.schema.fields import Fields, Positive
from potstill.schema.manifest import Manifest
from potstill.schema.published import Published
from potstill.schema.published_results import published_result
from potstill.schema.run_folder import RunPaths
from potstill.schema.set_file import IMPORTED, ProvenanceRecord, made_by
from potstill.schema.shapes import kind_of
from potstill.schema.statistics import welch_interval

NAME = "leaderboard"
EVALUATIONS = f"{Path(Evaluation.FILE).stem}*.json"


@dataclass(frozen=True, kw_only=True)
class JudgedSet:
    """A set and how it was made.

    Attributes:
        folder: where it is, or was.
        dataset: what was distilled.
        ipc: stored images per class.
        method: the name of the method; of a set of another program, its file.
        formation: the pictures along each side of a stored image.
        labels: ``hard`` or ``soft``; empty if the set is not there any more.
        size: in bytes.
        seconds: how long it took to make; None if this is not recorded.
        iterations: how many iterations were done; 0 if none were, or this is not recorded.
        kind: what it holds: ``image`` or ``vector``.
        sha256: its SHA-256, which its evaluations name.
        fingerprint: that of the dataset, which they name too.
        network: spec of the network that it was made with; empty if this is not recorded.
    """

    folder: Path
    dataset: str
    ipc: int
    method: str
    formation: int
    labels: str
    size: int
    seconds: float | None
    iterations: int
    kind: str
    sha256: str
    fingerprint: str
    network: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """A set, judged by one recipe and network.

    Attributes:
        of: the set.
        recipe: name and version.
        network: spec of the network.
        result: its accuracies.
        random: those of random real images by the same recipe, if they were measured.
        published: the published result, if the network is a ConvNet of the usual depth and width and one is known.
    """

    of: JudgedSet
    recipe: str
    network: str
    result: NetworkResult
    random: NetworkResult | None
    published: Published | None

    @property
    def gain(self) -> tuple[float, float] | None:
        """Welch's 95 % interval of what the set has more than random images; None without repeats of both."""
        return None if self.random is None else welch_interval(self.result.accuracies, self.random.accuracies)

    @property
    def verdict(self) -> str:
        """Our result beside the published one and beside random images, in a few words."""
        if self.gain is not None:
            least, most = self.gain
            if most < 0:
                return f"below random {self.of.kind}s"
            if least <= 0:
                return f"not apart from random {self.of.kind}s"
        if self.published is None:
            return "" if self.gain is None else f"above random {self.of.kind}s"
        ours = 100 * self.result.mean
        if self.published.std is None:
            return "above the published" if ours > self.published.mean else "below the published"
        return {"inside": "as published", "above": "above the published", "below": "below the published"}[
            self.published.verdict(self.result.mean)
        ]


def collected(folders: Iterable[Path]) -> list[Row]:
    """The rows of all evaluated sets in some folders, at any depth; by dataset and images per class, the best first.

    Args:
        folders: where to look.

    Raises:
        UserError: a folder is absent, there is no evaluated set, or a record is damaged.
    """
    places = [Path(folder) for folder in folders]
    for place in places:
        if not place.is_dir():
            raise UserError(f"{place} is not a directory", "name a folder with runs or imported sets")
    judged = {file.parent.resolve(): file.parent for place in places for file in place.rglob(EVALUATIONS)}
    rows = [row for folder in sorted(judged.values()) for row in _rows_in(RunPaths(folder))]
    if not rows:
        raise UserError(
            f"there is no evaluated set in {', '.join(map(str, places))}",
            "evaluate one first: potstill evaluate RUN|SET",
        )
    return sorted(rows, key=lambda row: (row.of.dataset, row.of.ipc, -row.result.mean, str(row.of.folder), row.recipe))


def write_leaderboard(folders: Sequence[Path], out: Path) -> list[Row]:
    """Write ``leaderboard.md`` and ``leaderboard.html`` about the evaluated sets in some folders; return the rows.

    Args:
        folders: where to look.
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
    for dataset in dict.fromkeys(row.of.dataset for row in rows):
        own = [row for row in rows if row.of.dataset == dataset]
        titles, cells = cells_of(own)
        linked = [
            [f"[{plain(method)}]({_link(row.of.folder, beside)})", *map(plain, others)]
            for row, (method, *others) in zip(own, cells, strict=True)
        ]
        lines += ["", f"## {plain(dataset)}", "", table([titles, *linked])]
    return "\n".join([*lines, ""])


def page(rows: Sequence[Row], beside: Path) -> str:
    """The rows as a page of HTML."""
    datasets = []
    for dataset in dict.fromkeys(row.of.dataset for row in rows):
        own = [row for row in rows if row.of.dataset == dataset]
        titles, cells = cells_of(own)
        links = [_link(row.of.folder, beside) for row in own]
        datasets.append((dataset, titles, list(zip(cells, links, strict=True))))
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
    return " or ".join(sorted({row.of.kind + plural for row in rows}))


def lead(rows: Sequence[Row]) -> str:
    """How many results lie above random images, of those that can be compared with them, in one sentence."""
    judged = [row for row in rows if row.gain is not None and row.of.method != "random"]
    if not judged:
        return f"No result stands beside random {_held(rows)} of the same number, both with repeats."
    above = sum(row.gain is not None and row.gain[0] > 0 for row in judged)
    return (
        f"{above} of {len(judged)} results that have random {_held(rows)} beside them lie above these by Welch's 95 % "
        "interval of the difference, each taken by itself."
    )


def _accuracy(result: NetworkResult | None) -> str:
    if result is None:
        return ""
    spread = "" if result.std is None else f" ± {100 * result.std:.2f}"
    return f"{100 * result.mean:.2f}{spread} × {result.repeats}"


def _interval(result: NetworkResult) -> str:
    return "" if result.interval is None else " to ".join(f"{100 * end:.1f}" for end in result.interval)


COLUMNS: Mapping[str, Callable[[Row], str]] = MappingProxyType(
    {
        "method": lambda row: row.of.method + (f", f = {row.of.formation}" if row.of.formation > 1 else ""),
        "per class": lambda row: str(row.of.ipc),
        "labels": lambda row: row.of.labels,
        "recipe, network": lambda row: f"{row.recipe}, {wording.network_title(row.network)}",
        "accuracy, %": lambda row: _accuracy(row.result),
        "95 % interval": lambda row: _interval(row.result),
        "random {held}, %": lambda row: _accuracy(row.random),
        "size": lambda row: wording.size(row.of.size),
        "made in": lambda row: "" if row.of.seconds is None else wording.duration(row.of.seconds),
        "iterations": lambda row: f"{row.of.iterations:,}" if row.of.iterations else "",
        "published, %": lambda row: "" if row.published is None else str(row.published),
        "verdict": lambda row: row.verdict,
    }
)
"""The title of each column, which may name what the sets hold, and its cell in a row."""


def cells_of(rows: Sequence[Row], columns: Sequence[str] = tuple(COLUMNS)) -> tuple[list[str], list[list[str]]]:
    """Rows as texts.

    Args:
        rows: the rows.
        columns: which of ``COLUMNS``.

    Returns:
        The titles of the columns, and the cells of each row.
    """
    titles = [title.format(held=_held(rows)) for title in columns]
    return titles, [[COLUMNS[title](row) for title in columns] for row in rows]


def _set_of_run(paths: RunPaths) -> JudgedSet:
    """The set of a run, by its records; its file need not be there any more."""
    manifest = Manifest.read(paths.manifest)
    config = Fields.of(paths.config, read_toml(paths.config)[1])
    return JudgedSet(
        folder=paths.path,
        dataset=manifest.dataset.name,
        ipc=config.value("ipc", Positive),
        method=manifest.method.name,
        formation=config.value("formation", Positive) if "formation" in config.values else 1,
        labels=_labels(paths.synthetic),
        size=manifest.set_bytes,
        seconds=manifest.seconds,
        iterations=manifest.iterations.done,
        kind=kind_of(manifest.dataset.shape),
        sha256=manifest.tensors_sha256,
        fingerprint=manifest.dataset.fingerprint,
        network=config.value("network", str),
    )


def _set_without_run(file: Path) -> JudgedSet | None:
    """A set that has no run here, such as one that another program made, by its file alone; None if it is not a set."""
    try:
        images = read_images(file)
    except UserError:
        return None
    provenance = ProvenanceRecord.from_json(Fields.of(file, dict(images.provenance)))
    named = file.parent.name if file == RunPaths(file.parent).synthetic else file.stem
    method, source = made_by(images.provenance) or "", str(images.provenance.get("imported_from", ""))
    return JudgedSet(
        folder=file.parent,
        dataset=provenance.dataset or "unknown",
        ipc=real_images_per_class(len(images), len(images.class_names)),
        method=f"{source or named} ({IMPORTED})" if method == IMPORTED else method or named,
        formation=images.formation,
        labels="soft" if images.soft else "hard",
        size=images.nbytes,
        seconds=None,
        iterations=0,
        kind=images.kind,
        sha256=images.tensors_sha256,
        fingerprint=provenance.dataset_fingerprint or "",
        network=provenance.network or "",
    )


def _rows_in(paths: RunPaths) -> Iterator[Row]:
    """The rows of the set that a run made, if the folder has both of its records; otherwise those of all sets there."""
    if paths.manifest.is_file() and paths.config.is_file():
        yield from _rows_of(_set_of_run(paths))
        return
    for file in sorted(paths.path.glob(f"*{paths.synthetic.suffix}")):
        if (judged := _set_without_run(file)) is not None:
            yield from _rows_of(judged)


def _rows_of(judged: JudgedSet) -> Iterator[Row]:
    """The rows of one set: one for each recipe that judged it; none if no evaluation of this set is there."""
    for file in sorted(judged.folder.glob(EVALUATIONS)):
        evaluation = Evaluation.read(file)
        same_set = evaluation.set_sha256 == judged.sha256
        same_data = evaluation.dataset_fingerprint in (judged.fingerprint, "")
        from_scratch = evaluation.initial.get("source") == "random"
        if not (same_set and same_data and from_scratch and evaluation.usable):
            continue
        spec = judged.network if judged.network in evaluation.usable else next(iter(evaluation.usable))
        random = evaluation.baselines.get("random", {}).get(spec)
        published = published_result(judged.dataset, judged.method, judged.ipc, judged.formation)
        yield Row(
            of=judged,
            recipe=evaluation.recipe.label,
            network=spec,
            result=evaluation.usable[spec],
            random=random if random is not None and random.usable else None,
            published=published if spec == "convnet" else None,
        )


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
