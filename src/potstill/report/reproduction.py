"""The page of a re-run table: published results beside ours, with the images, from ``reproduction.json``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from potstill.report import wording
from potstill.report.charts.dots import ChartedNetwork, ChartedSet, accuracy_chart
from potstill.report.images import read_images, unchanged_images
from potstill.report.page import rendered
from potstill.report.protocol import measured_on
from potstill.report.reproduction_lead import reproduction_remarks, reproduction_verdict
from potstill.report.strips import Shown, Strips, make_strips
from potstill.runtime.errors import UserError
from potstill.runtime.files import write_atomic
from potstill.schema.evaluation import Repeats
from potstill.schema.reproduction import RANDOM, Outcome, ReproductionRecord, Searched
from potstill.schema.run_folder import RunPaths


@dataclass(frozen=True)
class Line:
    """A line of the table of results: one row of the published table with one network."""

    row: str
    published: str
    measured: str
    interval: str
    verdict: str
    published_time: str
    training: str
    iterations: str
    distilled: str
    note: str


@dataclass(frozen=True)
class SearchLine:
    """A line of the table of searches: one search, as published or as made here."""

    row: str
    whose: str
    candidates: str
    found: str
    on_set: str
    seconds: str
    full: str
    training: str


def write_reproduction(folder: str | Path) -> Path:
    """Write ``reproduction.html`` beside the ``reproduction.json`` in ``folder``, and return its path.

    Images are shown of those rows whose runs still have the set that was measured.

    Raises:
        UserError: the record is missing or damaged, or the page cannot be written.
    """
    folder = Path(folder)
    record = ReproductionRecord.read(folder / ReproductionRecord.FILE)
    path = folder / "reproduction.html"
    write_atomic(path, render(record, reproduced_images(record, folder)))
    return path


def render(record: ReproductionRecord, images: Strips | None = None) -> str:
    """The page as HTML; without images, that section is left out."""
    networks = list(dict.fromkeys(outcome.network for outcome in record.outcomes))
    return rendered(
        "reproduction.html.jinja",
        dated="",
        title=record.title,
        facts=[record.source, f"recipe {record.recipe}"],
        lead=reproduction_verdict(record),
        remarks=reproduction_remarks(record),
        chart=accuracy_chart([_compared(record, network) for network in networks]),
        tables=[(wording.network_title(network), _lines(record, network)) for network in networks],
        searches=[line for searched in record.searches for line in _search_lines(searched)],
        images=images,
        notes=record.notes,
        settings=_settings(record),
    )


def reproduced_images(record: ReproductionRecord, folder: Path) -> Strips | None:
    """The images of the rows' sets, before and after distillation, as far as the runs still have them."""
    sets, absent = {}, []
    for outcome in {outcome.row: outcome for outcome in record.outcomes if outcome.folder}.values():
        shown = _shown(outcome, folder)
        if shown is None:
            absent.append(outcome.row)
        else:
            sets[outcome.row] = shown
    gone = f"Not shown, because the run was changed or removed: {', '.join(absent)}."
    return make_strips(sets, [gone] if absent else [])


def _shown(outcome: Outcome, folder: Path) -> Shown | None:
    paths = RunPaths(folder / outcome.folder)
    after = unchanged_images(paths.synthetic, outcome.set_sha256)
    if after is None:
        return None
    if outcome.distilled is None:
        return Shown(after)  # images that were chosen rather than distilled have no state before
    try:
        before = read_images(paths.start)
    except UserError:
        return Shown(after)
    return Shown(after, before if before.pixels.shape == after.pixels.shape else None)


def _compared(record: ReproductionRecord, network: str) -> ChartedNetwork:
    """Our results with a network, each followed by the published one."""
    contenders: list[ChartedSet] = []
    for outcome in record.outcomes:
        if outcome.network == network:
            contenders.append(ChartedSet(_kind(outcome), f"{outcome.row}, here", outcome.measured))
            if outcome.published is not None:
                published = Repeats(accuracies=[outcome.published.mean / 100])
                contenders.append(ChartedSet("other", f"{outcome.row}, published", published))
    return ChartedNetwork(wording.network_title(network), tuple(contenders))


def _kind(outcome: Outcome) -> str:
    if outcome.method == RANDOM:
        return "random"
    if outcome.iterations is None:
        return "full"
    return "distilled" if outcome.distilled else "other"


def _lines(record: ReproductionRecord, network: str) -> list[Line]:
    return [_line(outcome) for outcome in record.outcomes if outcome.network == network]


def _line(outcome: Outcome) -> Line:
    published, measured, iterations = outcome.published, outcome.measured, outcome.distilled
    ends = measured.interval if measured.usable else None
    ran = f"{wording.count(iterations.done)} of {wording.count(iterations.published)}" if iterations else "–"
    return Line(
        row=outcome.row,
        published="–" if published is None else str(published),
        measured=_accuracy(measured),
        interval=wording.interval(ends) if ends else "–",
        verdict=outcome.verdict,
        published_time="–" if published is None or not published.time else published.time,
        training=_time(outcome.training_seconds),
        iterations=ran,
        distilled=_time(outcome.seconds) if iterations else "–",
        note=outcome.note,
    )


def _search_lines(searched: Searched) -> Iterator[SearchLine]:
    """A search as it was published, then as it was made here."""
    published, full = searched.published, searched.published.full
    yield SearchLine(
        row=searched.row,
        whose="published",
        candidates="–",
        found=published.found,
        on_set=f"{published.accuracy:g}",
        seconds=published.time,
        full=str(full),
        training=full.time or "–",
    )
    yield SearchLine(
        row=searched.row,
        whose="here" if searched.comparable else "here, another dataset",
        candidates=wording.count(searched.candidates),
        found=searched.found or "none",
        on_set=_accuracy(searched.on_set, 2),
        seconds=wording.duration(searched.seconds / searched.repeats),
        full=_accuracy(searched.full, 2),
        training=_time(searched.full_seconds),
    )


def _accuracy(result: Repeats, digits: int = 1) -> str:
    """Mean ± standard deviation in percent, or why there is none."""
    if not result.usable:
        return f"failed: {result.failed}"
    spread = "" if result.std is None else f" ± {wording.points(result.std, digits)}"
    return f"{wording.points(result.mean, digits)}{spread}"


def _time(seconds: float | None) -> str:
    return "–" if seconds is None else wording.duration(seconds)


def _settings(record: ReproductionRecord) -> list[tuple[str, str]]:
    """How it was measured, as names and values."""
    measured = (*record.outcomes, *record.searches)
    scales = sorted({each.scale for each in measured})
    datasets = dict.fromkeys(outcome.dataset for outcome in record.outcomes if outcome.dataset)
    searches = sorted({searched.repeats for searched in record.searches})
    repeats = sorted({outcome.measured.repeats for outcome in record.outcomes if outcome.measured.usable})
    return [
        ("table", record.name),
        ("source", record.source),
        *([("dataset", ", ".join(datasets))] if datasets else []),
        ("recipe", record.recipe),
        ("scale", ", ".join(f"{scale:g}" for scale in scales) or "–"),
        ("trainings of each network", ", ".join(map(str, repeats)) or "–"),
        *([("trainings of each candidate", ", ".join(map(str, searches)))] if searches else []),
        *measured_on(dict.fromkeys(place for each in measured for place in each.made_on)),
    ]
