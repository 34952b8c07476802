"""Scatter charts: accuracy against a cost, with names that cover nothing; and one accuracy against another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from potstill.report.charts import Scale, Tick, linear_scale, logarithmic_scale
from potstill.report.wording import percent

LABEL_HEIGHT = 9.0
"""The height of a name, in percent of the chart's."""
CHARACTER = 2.7
"""The width of a character on a narrow screen, in percent of the chart's."""
GAP = 4.5
"""The distance of a name from its point on a narrow screen, in percent of the chart's width."""
TICKS = 5


@dataclass(frozen=True)
class Label:
    """A name beside its point, in percent of the chart's sides.

    Attributes:
        start: its left end.
        end: its right end.
        height: of its middle.
    """

    start: float
    end: float
    height: float


@dataclass(frozen=True)
class Point:
    """A named point in a chart, in percent of its sides; ``late`` if its name is to the left of it."""

    name: str
    x: float
    y: float
    label: float
    late: bool


@dataclass(frozen=True)
class Scatter:
    """A chart of points; ``summary`` describes it in one sentence for screen readers.

    The first point is highlighted. ``is_named`` says whether names are beside the points, or only under the pointer.
    """

    title: str
    x_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    points: tuple[Point, ...]
    summary: str
    is_named: bool = True


@dataclass(frozen=True)
class CostAxis:
    """The quantity on a horizontal axis.

    Attributes:
        title: the title of the chart.
        label: the label of the axis.
        show: formats a value.
        show_tick: formats the value of a tick.
        round_values: values to choose ticks from.
    """

    title: str
    label: str
    show: Callable[[float], str]
    show_tick: Callable[[float], str]
    round_values: Sequence[float] = ()


def scatter(
    cost: CostAxis, points: Sequence[tuple[str, float, float]], y_scale: Scale, show: Callable[[float], str]
) -> Scatter | None:
    """A chart with a logarithmic horizontal axis.

    Args:
        cost: the quantity on the horizontal axis.
        points: name, cost and height of each point.
        y_scale: the vertical scale.
        show: formats a height.

    Returns:
        The chart; None if all costs are equal.
    """
    costs = [value for _, value, _ in points]
    if len(set(costs)) < 2:
        return None
    x_scale = logarithmic_scale(
        min(costs) / 1.6, max(costs) * 1.6, cost.show_tick, ticks=TICKS, round_values=cost.round_values
    )
    places = [(name, x_scale.position(value), y_scale.position(height)) for name, value, height in points]
    labels = placed_labels(places)
    listed = "; ".join(f"{name}: {show(height)} at {cost.show(value)}" for name, value, height in points)
    return Scatter(
        title=cost.title,
        x_label=cost.label,
        x_ticks=x_scale.ticks,
        y_ticks=y_scale.ticks,
        points=tuple(
            Point(name, x, y, label.height, label.start < x) for (name, x, y), label in zip(places, labels, strict=True)
        ),
        summary=f"{cost.title}: {listed}.",
    )


def accuracy_scatter(title: str, x_label: str, points: Sequence[tuple[str, float, float]], summary: str) -> Scatter:
    """One accuracy against another, for many points whose names are only under the pointer.

    Args:
        title: the title of the chart, which says what the height is.
        x_label: the label of the horizontal axis.
        points: name, place and height of each point, as fractions; the first is highlighted.
        summary: the chart in one sentence.
    """
    x_scale, y_scale = (_around(values) for values in ([x for _, x, _ in points], [y for _, _, y in points]))
    return Scatter(
        title=title,
        x_label=x_label,
        x_ticks=x_scale.ticks,
        y_ticks=y_scale.ticks,
        points=tuple(Point(name, x_scale.position(x), y_scale.position(y), 0.0, False) for name, x, y in points),
        summary=summary,
        is_named=False,
    )


def _around(accuracies: Sequence[float]) -> Scale:
    """A linear scale with some room around accuracies."""
    low, high = min(accuracies), max(accuracies)
    digits = 0 if high - low >= 0.1 else 1 if high - low >= 0.005 else 2
    room = max(0.08 * (high - low), 0.1 ** (2 + digits))  # so that there are two ticks at least
    return linear_scale(low - room, high + room, lambda value: percent(value, digits), TICKS - 1, 0.1 ** (2 + digits))


def label_right_of(name: str, x: float, height: float) -> Label:
    """A name to the right of a place ``x`` percent from the left."""
    return Label(x + GAP, x + GAP + CHARACTER * len(name), height)


def label_left_of(name: str, x: float, height: float) -> Label:
    """A name to the left of a place ``x`` percent from the left."""
    return Label(x - GAP - CHARACTER * len(name), x - GAP, height)


def placed_labels(points: Sequence[tuple[str, float, float]], fixed: Sequence[Label] = ()) -> list[Label]:
    """Names beside their points, moved up as little as possible until they cover no other name or point.

    Args:
        points: the name of each point, and its position from the left and from the bottom in percent.
        fixed: names that stand already, and are not covered either.

    Returns:
        The place of each name, in the same order.
    """
    placed: dict[int, Label] = {}
    for index in sorted(range(len(points)), key=lambda index: points[index][2]):
        name, x, y = points[index]
        label = (label_left_of if x > 60 else label_right_of)(name, x, y)
        names = [*fixed, *placed.values()]
        others = [other for place, other in enumerate(points) if place != index]
        taken = [other.height for other in names if other.start < label.end and label.start < other.end]
        taken += [height for _, across, height in others if label.start - 2 < across < label.end + 2]
        height = y
        while blocking := [other for other in taken if abs(other - height) < LABEL_HEIGHT - 1e-9]:
            height = max(blocking) + LABEL_HEIGHT
        placed[index] = replace(label, height=height)
    return [placed[index] for index in range(len(points))]
