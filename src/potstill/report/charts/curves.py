"""Learning curves as lines in a square of 100 by 100 units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from potstill.report import wording
from potstill.report.charts import Scale, Tick, linear_scale, logarithmic_scale

MOST_POINTS = 300
WIDE_RANGE = 50.0


@dataclass(frozen=True)
class Series:
    """One line: its name, and its points as an attribute of SVG."""

    name: str
    points: str


@dataclass(frozen=True)
class CurveChart:
    """A chart of lines over iterations or epochs.

    Attributes:
        title: the quantity that the lines show.
        x_label: the unit of the horizontal axis.
        x_ticks: positions from the left.
        y_ticks: positions from the bottom.
        series: the lines.
        summary: the chart in one sentence, for screen readers.
        marker: a marked position from the left, and its label.
    """

    title: str
    x_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    series: tuple[Series, ...]
    summary: str
    marker: Tick | None = None


@dataclass(frozen=True)
class Panel:
    """The data of one chart.

    Attributes:
        title: the quantity that the lines show.
        x_label: the unit of the horizontal axis.
        lines: positions and values of each line by name, thinned; none is empty.
        is_accuracy: whether the values are accuracies, as fractions; otherwise they are losses.
        is_logarithmic: whether the horizontal axis is logarithmic; all positions are above 0.
        chosen: the iteration whose set is kept, to be marked.
    """

    title: str
    x_label: str
    lines: Mapping[str, tuple[np.ndarray, np.ndarray]]
    is_accuracy: bool
    is_logarithmic: bool = False
    chosen: int | None = None


def curve_chart(panel: Panel) -> CurveChart:
    """The chart of a panel, with all positions computed."""
    xs = np.concatenate([x for x, _ in panel.lines.values()])
    ys = np.concatenate([y for _, y in panel.lines.values()])
    x_scale = _x_scale(xs, panel.is_logarithmic)
    y_scale = _accuracy_scale(ys) if panel.is_accuracy else _loss_scale(ys)
    show = wording.percent if panel.is_accuracy else _number
    ends = "; ".join(f"{name} from {show(y[0])} to {show(y[-1])}" for name, (_, y) in panel.lines.items())
    marker = None
    if panel.chosen is not None:
        marker = Tick(round(x_scale.position(panel.chosen), 3), f"chosen: {panel.chosen:,}")
    return CurveChart(
        title=panel.title + (", logarithmic" if y_scale.logarithmic else ""),
        x_label=panel.x_label,
        x_ticks=x_scale.ticks,
        y_ticks=y_scale.ticks,
        series=tuple(Series(name, _path(points, x_scale, y_scale)) for name, points in panel.lines.items()),
        summary=f"{panel.title} by {panel.x_label}: {ends}.",
        marker=marker,
    )


def thinned(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Lines with at most ``MOST_POINTS`` points each; lines without points are left out."""
    few = {name: thin(*points) for name, points in lines.items()}
    return {name: points for name, points in few.items() if len(points[0])}


def thin(xs: Sequence[float], ys: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """At most ``MOST_POINTS`` points, each the mean of its neighbours; points that are not finite are left out."""
    x, y = np.asarray(xs, dtype=float), np.asarray(ys, dtype=float)
    kept = np.isfinite(x) & np.isfinite(y)
    x, y = x[kept], y[kept]
    if len(x) <= MOST_POINTS:
        return x, y
    parts = np.array_split(np.arange(len(x)), MOST_POINTS)
    return np.array([x[part].mean() for part in parts]), np.array([y[part].mean() for part in parts])


def is_wide(values: np.ndarray) -> bool:
    """Whether values are easier to read on a logarithmic scale."""
    return bool(values.min() > 0 and values.max() / values.min() > WIDE_RANGE)


def _path(points: tuple[np.ndarray, np.ndarray], x_scale: Scale, y_scale: Scale) -> str:
    places = [(x_scale.position(x), 100 - y_scale.position(y)) for x, y in zip(*points, strict=True)]
    if len(places) == 1:
        places *= 2  # a line of zero length with round ends is drawn as a dot
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in places)


def _x_scale(values: np.ndarray, logarithmic: bool) -> Scale:
    first, last = float(values.min()), float(values.max())
    if logarithmic:
        return logarithmic_scale(first, last if last > first else 2 * first, lambda value: f"{value:,.0f}")
    return linear_scale(min(0.0, first), last or 1.0, lambda value: f"{value:,.0f}", 4, unit=1)


def _accuracy_scale(values: np.ndarray) -> Scale:
    low, high = int(10 * values.min()) / 10, min(10, int(10 * values.max()) + 1) / 10
    return linear_scale(min(low, high - 0.1), high, lambda value: f"{100 * value:.0f}{wording.SPACE}%", 4, unit=0.01)


def _loss_scale(values: np.ndarray) -> Scale:
    low, high = float(values.min()), float(values.max())
    if is_wide(values):
        return logarithmic_scale(low / 1.1, high * 1.1, _number)
    room = 0.04 * (high - low) or 0.1 * abs(high) or 1.0
    return linear_scale(max(low - room, 0.0) if low >= 0 else low - room, high + room, _number, 4)


def _number(value: float) -> str:
    return f"{value:.3g}"
