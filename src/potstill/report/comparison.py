"""The page of a comparison: several sets side by side, from ``comparison.json`` alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from potstill.report import wording
from potstill.report.charts import linear_scale
from potstill.report.charts.dots import ChartedNetwork, ChartedSet, accuracy_chart, accuracy_scale
from potstill.report.charts.scatter import CostAxis, Scatter, scatter
from potstill.report.comparison_images import compared_images
from potstill.report.comparison_lead import lead, remarks
from potstill.report.page import rendered
from potstill.report.protocol import Trained, measured_on, protocol
from potstill.report.strips import Strips
from potstill.runtime.files import write_atomic
from potstill.schema.comparison import ComparedSet, Comparison, Difference, TrainedNetwork

UNKNOWN = "–"
"""For what is not recorded, as of sets that other programs made."""

ROUND_SECONDS = (0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 36_000, 360_000)


def _costs(network: str, kind: str) -> list[tuple[CostAxis, Callable[[ComparedSet], float | None]]]:
    """The costs that accuracy is plotted against, if the sets differ in them; None where it is not recorded."""
    accuracy = f"Accuracy of {wording.network_title(network)}"
    return [
        (
            CostAxis(f"{accuracy} by the size of the set", "size, logarithmic", wording.size, wording.size),
            lambda item: max(item.bytes, 1),
        ),
        (
            CostAxis(f"{accuracy} by {kind}s per class", f"{kind}s per class, logarithmic", _whole, _whole),
            lambda item: max(item.ipc, 1),
        ),
        (
            CostAxis(
                f"{accuracy} by the time it took to make the set",
                "time, logarithmic",
                wording.duration,
                wording.round_duration,
                ROUND_SECONDS,
            ),
            lambda item: None if item.distilled_seconds is None else max(item.distilled_seconds, 0.001),
        ),
    ]


def write_comparison(folder: str | Path) -> Path:
    """Write ``comparison.html`` beside the ``comparison.json`` in ``folder``, and return its path.

    Images are shown of those sets that are still where the record says.

    Raises:
        UserError: the record is missing or damaged, or the page cannot be written.
    """
    folder = Path(folder)
    record = Comparison.read(folder / Comparison.FILE)
    path = folder / "comparison.html"
    write_atomic(path, render(record, compared_images(record, folder)))
    return path


def render(record: Comparison, images: Strips | None = None) -> str:
    """The page as HTML; without images, that section is left out."""
    first = record.networks[0]
    reached = record.reached[first].accuracy if first in record.reached else None
    return rendered(
        "comparison.html.jinja",
        record=record,
        dated="",
        title=f"{len(record.sets)} sets of {record.dataset.name} side by side",
        facts=[
            f"recipe {record.recipe.label}",
            *(wording.network_title(network) for network in record.networks),
        ],
        lead=lead(record, first),
        remarks=remarks(record),
        images=images,
        timed="" if len(record.networks) == 1 else wording.network_title(first),
        chart=accuracy_chart(_compared(record)),
        scatters=_scatters(record, first),
        sets=[_set_row(item, record, first) for item in record.sets],
        reached="" if reached is None else wording.percent(reached),
        soft={item.labels for item in record.sets} == {"soft", "hard"},
        differences=[_difference_row(item, record.significance) for item in record.differences],
        settings=_settings(record),
    )


def _usable(item: ComparedSet, network: str) -> TrainedNetwork | None:
    result = item.networks.get(network)
    return result if result is not None and result.usable else None


def _compared(record: Comparison) -> list[ChartedNetwork]:
    """Each network on every set, then on the full data; the first set is highlighted."""
    found = []
    for network in record.networks:
        sets = _of_sets(record, network)
        title = f"all {wording.count(record.dataset.train)} training {record.dataset.kind}s"
        full = (_contender("full", title, record.full[network]),) if network in record.full else ()
        found.append(ChartedNetwork(sets.network, (*sets.contenders, *full)))
    return found


def _of_sets(record: Comparison, network: str) -> ChartedNetwork:
    contenders = (
        _contender("distilled" if place == 0 else "other", item.name, item.networks[network])
        for place, item in enumerate(record.sets)
        if network in item.networks
    )
    return ChartedNetwork(wording.network_title(network), tuple(contenders))


def _contender(kind: str, title: str, result: TrainedNetwork) -> ChartedSet:
    return ChartedSet(kind, title, result, result.seconds, result.epochs)


def _scatters(record: Comparison, network: str) -> list[Scatter]:
    """Accuracy against each of the costs that differ between sets."""
    whole = accuracy_scale([_of_sets(record, network)])
    y_scale = linear_scale(whole.low, whole.high, lambda value: f"{100 * value:.0f}{wording.SPACE}%", 4, unit=0.01)
    results = [(item, result) for item in record.sets if (result := _usable(item, network))]
    charts = (
        scatter(
            cost,
            [(item.name, x, result.mean) for item, result in results if (x := value(item)) is not None],
            y_scale,
            wording.percent,
        )
        for cost, value in _costs(network, record.dataset.kind)
    )
    return [chart for chart in charts if chart is not None]


def _whole(value: float) -> str:
    return wording.count(round(value))


def _set_row(item: ComparedSet, record: Comparison, network: str) -> dict[str, str]:
    result = _usable(item, network)
    seconds = record.reached[network].seconds.get(item.name) if network in record.reached else None
    return {
        "name": item.name,
        "method": item.method or UNKNOWN,
        "ipc": wording.count(item.ipc),
        "labels": item.labels,
        "size": wording.size(item.bytes),
        "made": UNKNOWN if item.distilled_seconds is None else wording.duration(item.distilled_seconds),
        "memory": _memory(item.peak_memory_bytes),
        "training": wording.duration(result.seconds) if result and result.seconds else UNKNOWN,
        "reached": UNKNOWN if seconds is None else wording.duration(seconds),
    }


def _memory(number: int | None) -> str:
    return UNKNOWN if number is None else wording.size(number) if number else "not available"


def _difference_row(item: Difference, significance: float) -> dict[str, str]:
    sign = "+" if item.mean >= 0 else "−"
    return {
        "network": wording.network_title(item.network),
        "first": item.first,
        "second": item.second,
        "points": f"{sign}{wording.points(abs(item.mean))}",
        "interval": " to ".join(f"{100 * end:.1f}".replace("-", "−") for end in item.ci95),
        "p": _p(item.p),
        "corrected": _p(item.p_corrected),
        "shown": "yes" if item.p_corrected < significance else "no",
    }


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _settings(record: Comparison) -> list[tuple[str, str]]:
    """How the results were measured, as names and values."""
    failed = [
        (f"{item.name}, {network}", f"failed: {result.failed}")
        for item in record.sets
        for network, result in item.networks.items()
        if not result.usable
    ]
    initial = "each set's own" if record.initial is None else wording.initial_weights(str(record.initial["source"]))
    stored = "as 32-bit numbers" if record.dataset.kind == "vector" else "as 8-bit pixels"
    return [
        ("dataset", f"{record.dataset.name}: {wording.count(record.dataset.train)} training {record.dataset.kind}s"),
        ("size of the training data", f"{wording.size(record.dataset.bytes)}, {stored}"),
        *_protocol(record),
        ("seed", "not recorded" if record.seed is None else str(record.seed)),
        ("initial weights", initial),
        *measured_on(record.made_on),
        *failed,
    ]


def _protocol(record: Comparison) -> list[tuple[str, str]]:
    sizes = {item.images for item in record.sets}
    results = [result for item in record.sets for result in item.networks.values() if result.usable]
    full = [result for result in record.full.values() if result.usable]
    return protocol(
        record.recipe,
        Trained(epochs=[result.epochs for result in results], images=sizes.pop() if len(sizes) == 1 else None),
        Trained(epochs=[result.epochs for result in full], images=record.dataset.train),
        kind=record.dataset.kind,
    )
