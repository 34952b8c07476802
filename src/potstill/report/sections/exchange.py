"""What the set is worth in random real images: the curve of accuracy over their number, and the set on it."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

import numpy as np

from potstill.report import wording
from potstill.report.charts.curves import CurveChart, Panel, curve_chart
from potstill.report.exchange import exchange_sentences
from potstill.report.run import Run, Section
from potstill.schema.evaluation import Repeats
from potstill.schema.exchange import Exchange, NetworkExchange


@dataclass(frozen=True)
class Row:
    """A number of random real images in words, or the set itself."""

    images: str
    accuracy: str
    interval: str
    seconds: str


@dataclass(frozen=True)
class Curve:
    """The result for one network: sentences, a chart and the numbers behind it; no chart if nothing was measured."""

    network: str
    sentences: list[str]
    chart: CurveChart | None
    rows: list[Row]


@dataclass(frozen=True)
class View:
    """How the curves were measured, what they count (``image`` or ``vector``), and one for each network."""

    measured: str
    kind: str
    curves: list[Curve]


def view(run: Run) -> View | None:
    """The exchange rate of a run's set, if it was measured."""
    found = run.record(Exchange)
    if found is None:
        return None
    curves = [_curve(found, network, result, run) for network, result in found.networks.items()]
    made_on = "; ".join(dict.fromkeys(made_on for result in found.networks.values() for made_on in result.made_on))
    measured = (
        f"Trained by {found.recipe.label}, with new random {run.after.kind}s for each repeat; seed {found.seed}; "
    )
    return View(f"{measured}measured on {made_on}.", run.after.kind, curves) if curves else None


def _curve(found: Exchange, network: str, result: NetworkExchange, run: Run) -> Curve:
    counts = [point.images_per_class * found.classes for point in result.points]
    rows = [
        _row(wording.images(count, run.after.kind), point.accuracies, point.seconds)
        for count, point in zip(counts, result.points, strict=True)
    ]
    return Curve(
        network=wording.network_title(network),
        sentences=exchange_sentences(found, network, len(run.after), run.after.pictures, run.after.kind),
        chart=_chart(network, counts, result, run.after.kind) if counts else None,
        rows=[_row("the set", result.accuracies, None), *rows],
    )


def _chart(network: str, counts: list[int], result: NetworkExchange, kind: str) -> CurveChart:
    set_, ends = fmean(result.accuracies), [counts[0], counts[-1]]
    lines = {
        f"random real {kind}s": (counts, [point.mean for point in result.points]),
        "the set": (ends, [set_, set_]),
    }
    panel = Panel(
        title=f"{wording.network_title(network)}: test accuracy",
        x_label=f"random real {kind}s, logarithmic",
        lines={name: (np.array(xs, float), np.array(ys)) for name, (xs, ys) in lines.items()},
        is_accuracy=True,
        is_logarithmic=True,
    )
    return curve_chart(panel)


def _row(images: str, accuracies: list[float], seconds: float | None) -> Row:
    result = Repeats(accuracies=accuracies)
    return Row(
        images=images,
        accuracy=wording.percent(result.mean),
        interval=wording.interval(result.interval) if result.interval else "–",
        seconds="–" if seconds is None else wording.duration(seconds),
    )


SECTION = Section("exchange", view, Exchange)
