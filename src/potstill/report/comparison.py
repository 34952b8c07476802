"""The page of a comparison: several sets side by side, from ``comparison.json`` alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from potstill.report import wording
from potstill.report.accuracy import Comparison, Contender, accuracy_chart, accuracy_scale
from potstill.report.fields import Fields
from potstill.report.page import rendered
from potstill.report.scales import Tick, linear_scale, logarithmic_scale
from potstill.report.scores import Entry, Failure, Score, read_entry
from potstill.runtime.files import write_atomic

LABEL_HEIGHT = 9.0
"""What a name takes of a chart's height, in percent."""


@dataclass(frozen=True)
class SetRecord:
    """One of the sets."""

    name: str
    method: str
    status: str
    ipc: int
    images: int
    bytes: int
    labels: str
    distilled_seconds: float
    peak_memory_bytes: int
    networks: Mapping[str, Entry]


@dataclass(frozen=True)
class Difference:
    """A pair of sets under one network; fractions."""

    network: str
    first: str
    second: str
    mean: float
    interval: tuple[float, float]
    p: float
    p_corrected: float


@dataclass(frozen=True)
class ComparisonRecord:
    """All that ``comparison.json`` records; ``initial`` is empty where each set has weights of its own."""

    dataset: str
    train: int
    test: int
    train_bytes: int
    recipe: Mapping[str, str]
    seed: int
    initial: str
    made_on: tuple[str, ...]
    networks: tuple[str, ...]
    sets: tuple[SetRecord, ...]
    full: Mapping[str, Entry]
    significance: float
    differences: tuple[Difference, ...]
    reached: Mapping[str, tuple[float, Mapping[str, float]]]


@dataclass(frozen=True)
class Point:
    """A set in a chart; positions in percent of its sides, the name's too, which may stand higher or lower."""

    name: str
    x: float
    y: float
    label: float


@dataclass(frozen=True)
class Scatter:
    """Accuracy by a cost."""

    title: str
    x_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    points: tuple[Point, ...]
    summary: str


def write_comparison(folder: Path) -> Path:
    """Write ``comparison.html`` beside the ``comparison.json`` in ``folder``, and return its path.

    Raises:
        UserError: the record is missing or damaged, or the page cannot be written.
    """
    record = read_comparison(folder / "comparison.json")
    path = folder / "comparison.html"
    write_atomic(path, render(record))
    return path


def read_comparison(file: Path) -> ComparisonRecord:
    """Read a ``comparison.json``.

    Raises:
        UserError: the file is damaged; the error names the field.
    """
    fields = Fields.of_record(file, 1)
    dataset = fields.part("dataset")
    return ComparisonRecord(
        dataset=dataset.text("name"),
        train=dataset.whole("train"),
        test=dataset.whole("test"),
        train_bytes=dataset.whole("bytes"),
        recipe=fields.part("recipe").texts(),
        seed=fields.integer("seed"),
        initial=fields.part("initial").text("source") if "initial" in fields else "",
        made_on=fields.lines("made_on"),
        networks=tuple(str(name) for name in fields.values.get("networks", [])),
        sets=tuple(_read_set(part) for part in fields.list("sets")),
        full={name: read_entry(entry, None) for name, entry in fields.part("full").parts().items()},
        significance=fields.number("significance"),
        differences=tuple(_read_difference(part) for part in fields.list("differences")),
        reached={
            name: (part.number("accuracy"), {k: part.part("seconds").number(k) for k in part.part("seconds").values})
            for name, part in fields.part("reached").parts().items()
            if "accuracy" in part
        },
    )


def render(record: ComparisonRecord) -> str:
    """The page as HTML."""
    compared = _compared(record)
    first = record.networks[0]
    return rendered(
        "comparison.html.jinja",
        record=record,
        dated="",
        title=f"{len(record.sets)} sets of {record.dataset} side by side",
        facts=[
            f"recipe {record.recipe['name']}@{record.recipe['version']}",
            *(wording.network_title(network) for network in record.networks),
        ],
        lead=_lead(record, first),
        remarks=_remarks(record),
        chart=accuracy_chart(compared),
        scatters=_scatters(record, first),
        sets=[_set_row(item, record, first) for item in record.sets],
        reached=wording.percent(record.reached[first][0]) if first in record.reached else "",
        soft={item.labels for item in record.sets} == {"soft", "hard"},
        differences=[_difference_row(item, record.significance) for item in record.differences],
        settings=_settings(record),
    )


def _read_set(fields: Fields) -> SetRecord:
    return SetRecord(
        name=fields.text("name"),
        method=fields.text("method"),
        status=fields.text("status"),
        ipc=fields.whole("ipc"),
        images=fields.whole("images"),
        bytes=fields.whole("bytes"),
        labels=fields.text("labels"),
        distilled_seconds=fields.number("distilled_seconds"),
        peak_memory_bytes=fields.whole("peak_memory_bytes"),
        networks={name: read_entry(entry, None) for name, entry in fields.part("networks").parts().items()},
    )


def _read_difference(fields: Fields) -> Difference:
    ends = fields.numbers("ci95")
    if len(ends) != 2:
        fields.refuse("ci95", "a pair [low, high]")
    return Difference(
        network=fields.text("network"),
        first=fields.text("first"),
        second=fields.text("second"),
        mean=fields.number("mean"),
        interval=(ends[0], ends[1]),
        p=fields.number("p"),
        p_corrected=fields.number("p_corrected"),
    )


def _compared(record: ComparisonRecord) -> list[Comparison]:
    """Each network on every set, then on the full data; the first set is the one that is spoken of."""
    found = []
    for network in record.networks:
        sets = _of_sets(record, network)
        title = f"all {wording.count(record.train)} training images"
        full = (Contender("full", title, record.full[network]),) if network in record.full else ()
        found.append(Comparison(sets.network, (*sets.contenders, *full)))
    return found


def _of_sets(record: ComparisonRecord, network: str) -> Comparison:
    contenders = (
        Contender("distilled" if place == 0 else "other", item.name, item.networks[network])
        for place, item in enumerate(record.sets)
        if network in item.networks
    )
    return Comparison(wording.network_title(network), tuple(contenders))


def _lead(record: ComparisonRecord, network: str) -> str:
    scores = {item.name: entry for item in record.sets if isinstance(entry := item.networks.get(network), Score)}
    if not scores:
        return f"{wording.network_title(network)} could not be trained on any of the sets."
    best = max(scores, key=lambda name: scores[name].mean)
    reached = wording.percent(scores[best].mean)
    return f"{wording.network_title(network)} learns most from {best}: {reached} on the test set."


def _remarks(record: ComparisonRecord) -> list[str]:
    shown = sum(item.p_corrected < record.significance for item in record.differences)
    total = len(record.differences)
    told = f"Of {total} differences between two sets {shown} are shown, at 5 % for all of them together."
    stopped = [f"{item.name} ({item.status})" for item in record.sets if item.status != "complete"]
    return [
        told if total else _untested(record),
        *(["Not all figures were measured alike: see the foot of the page."] if len(record.made_on) > 1 else []),
        *([f"Not distilled to the end: {', '.join(stopped)}."] if stopped else []),
    ]


def _untested(record: ComparisonRecord) -> str:
    repeats = {len(e.accuracies) for item in record.sets for e in item.networks.values() if isinstance(e, Score)}
    return "One repeat each: no difference can be shown." if repeats == {1} else "No difference could be tested."


def _scatters(record: ComparisonRecord, network: str) -> list[Scatter]:
    """Accuracy by size, by images per class and by the time that the set took, where these differ."""
    costs: list[tuple[str, str, Callable[[SetRecord], float], Callable[[float], str]]] = [
        ("Accuracy by the size of the set", "bytes, logarithmic", lambda item: item.bytes, wording.size),
        ("Accuracy by images per class", "images per class, logarithmic", lambda item: item.ipc, lambda v: f"{v:.0f}"),
        (
            "Accuracy by the time it took to make the set",
            "seconds, logarithmic",
            lambda item: max(item.distilled_seconds, 0.1),
            wording.duration,
        ),
    ]
    made = []
    for title, label, cost, show in costs:
        points = [(i, cost(i), e) for i in record.sets if isinstance(e := i.networks.get(network), Score)]
        if len({value for _, value, _ in points}) < 2:
            continue
        low, high = min(value for _, value, _ in points), max(value for _, value, _ in points)
        x_scale = logarithmic_scale(low / 1.6, high * 1.6, show)
        whole = accuracy_scale([_of_sets(record, network)])
        y_scale = linear_scale(whole.low, whole.high, lambda value: f"{100 * value:.0f}{wording.SPACE}%", 4)
        heights = [y_scale.position(e.mean) for _, _, e in points]
        labels = spread(heights, LABEL_HEIGHT)
        places = [
            Point(i.name, x_scale.position(v), height, label)
            for (i, v, _), height, label in zip(points, heights, labels, strict=True)
        ]
        told = "; ".join(f"{i.name}: {wording.percent(e.mean)} at {show(v)}" for i, v, e in points)
        made.append(Scatter(title, label, x_scale.ticks, y_scale.ticks, tuple(places), f"{title}: {told}."))
    return made


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Heights moved up as little as keeps each at least ``gap`` above the next lower one."""
    placed: dict[int, float] = {}
    last = -math.inf
    for place in sorted(range(len(heights)), key=heights.__getitem__):
        placed[place] = last = max(heights[place], last + gap)
    return [placed[place] for place in range(len(heights))]


def _set_row(item: SetRecord, record: ComparisonRecord, network: str) -> dict[str, str]:
    entry = item.networks.get(network)
    seconds = record.reached[network][1].get(item.name) if network in record.reached else None
    return {
        "name": item.name,
        "method": item.method,
        "ipc": wording.count(item.ipc),
        "labels": item.labels,
        "size": wording.size(item.bytes),
        "distilled": wording.duration(item.distilled_seconds),
        "memory": wording.size(item.peak_memory_bytes),
        "training": wording.duration(entry.seconds) if isinstance(entry, Score) and entry.seconds else "–",
        "reached": "–" if seconds is None else wording.duration(seconds),
    }


def _difference_row(item: Difference, significance: float) -> dict[str, str]:
    sign = "+" if item.mean >= 0 else "−"
    return {
        "network": wording.network_title(item.network),
        "first": item.first,
        "second": item.second,
        "points": f"{sign}{wording.points(abs(item.mean))}",
        "interval": " to ".join(f"{100 * end:.1f}".replace("-", "−") for end in item.interval),
        "p": _p(item.p),
        "corrected": _p(item.p_corrected),
        "shown": "yes" if item.p_corrected < significance else "no",
    }


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _settings(record: ComparisonRecord) -> list[tuple[str, str]]:
    recipe = dict(record.recipe)
    name = f"{recipe.pop('name')}@{recipe.pop('version')}"
    details = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in recipe.items())
    failed = [
        (f"{item.name}, {network}", f"failed: {entry.reason}")
        for item in record.sets
        for network, entry in item.networks.items()
        if isinstance(entry, Failure)
    ]
    return [
        ("dataset", f"{record.dataset}: {wording.count(record.train)} training images"),
        ("size of the training images", f"{wording.size(record.train_bytes)} as 8-bit pixels"),
        ("recipe", f"{name}: {details}"),
        ("seed", str(record.seed)),
        ("initial weights", wording.initial_weights(record.initial) if record.initial else "each set's own"),
        *((("measured on" if place == 0 else "and on"), made_on) for place, made_on in enumerate(record.made_on)),
        *failed,
    ]
