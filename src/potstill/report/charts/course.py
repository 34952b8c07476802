"""Courses: accuracy against a growing cost as lines, beside points of one cost, and a level of none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from potstill.report.charts import Tick, linear_scale, logarithmic_scale
from potstill.report.charts.scatter import LABEL_HEIGHT, TICKS, Point, label_right_of, placed_labels
from potstill.report.wording import percent

ROOM = 1.6
"""The room left and right of the costs, as a factor."""
LEVEL_LABEL = 42.0
"""Where the name of the level begins, in percent of the width: mostly between the points and the line."""


@dataclass(frozen=True)
class Level:
    """A horizontal line at a height, in percent, with its name and where that stands."""

    name: str
    height: float
    x: float
    label: float


@dataclass(frozen=True)
class CourseChart:
    """A chart with a logarithmic horizontal axis; ``summary`` describes it in one sentence for screen readers.

    Attributes:
        title: what the height is.
        x_label: the label of the horizontal axis.
        x_ticks: positions from the left.
        y_ticks: positions from the bottom.
        lines: the courses, each as an attribute of SVG in a square of 100 by 100.
        points: the ends of the courses are among them; the first is highlighted.
        level: what is reached at no cost that counts.
        summary: the chart in one sentence.
    """

    title: str
    x_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[str, ...]
    points: tuple[Point, ...]
    level: Level | None
    summary: str


@dataclass(frozen=True)
class CourseData:
    """What a chart of courses shows; accuracies are fractions.

    Attributes:
        points: name, cost and accuracy of each point.
        courses: costs and accuracies of each line, whose end is one of ``points``.
        level: a name and an accuracy.
    """

    points: Sequence[tuple[str, float, float]]
    courses: Sequence[Sequence[tuple[float, float]]] = ()
    level: tuple[str, float] | None = None


def course_chart(title: str, x_label: str, show: Callable[[float], str], reached: CourseData) -> CourseChart | None:
    """The chart, with all positions computed.

    Args:
        title: what the height is.
        x_label: the label of the horizontal axis.
        show: formats a cost.
        reached: what it shows.

    Returns:
        The chart; None if nothing has a cost above 0.
    """
    points = [point for point in reached.points if point[1] > 0]
    if not points:
        return None
    on_lines = [place for course in reached.courses for place in course]
    costs = [cost for _, cost, _ in points] + [cost for cost, _ in on_lines]
    heights = [height for *_, height in points] + [height for _, height in on_lines]
    heights += [reached.level[1]] if reached.level else []
    x_scale = logarithmic_scale(min(costs) / ROOM, max(costs) * ROOM, show, ticks=TICKS)
    low, high = int(10 * min(heights)) / 10, min(10, int(10 * max(heights)) + 1) / 10
    y_scale = linear_scale(min(low, high - 0.1), high, lambda value: percent(value, 0), ticks=TICKS - 1, unit=0.01)
    places = [(name, x_scale.position(cost), y_scale.position(height)) for name, cost, height in points]
    level = None
    if reached.level is not None:
        height = y_scale.position(reached.level[1])
        level = Level(reached.level[0], height, LEVEL_LABEL, height + 0.6 * LABEL_HEIGHT)
    labels = placed_labels(places, [label_right_of(level.name, level.x, level.label)] if level else [])
    said = [f"{name}: {percent(height)} at {show(cost)}" for name, cost, height in points]
    said += [f"{reached.level[0]}: {percent(reached.level[1])}"] if reached.level else []
    return CourseChart(
        title=title,
        x_label=x_label,
        x_ticks=x_scale.ticks,
        y_ticks=y_scale.ticks,
        lines=tuple(
            " ".join(f"{x_scale.position(cost):.2f},{100 - y_scale.position(height):.2f}" for cost, height in course)
            for course in reached.courses
            if course
        ),
        points=tuple(
            Point(name, x, y, label.height, label.start < x) for (name, x, y), label in zip(places, labels, strict=True)
        ),
        level=level,
        summary=f"{title} by {x_label}: {'; '.join(said)}.",
    )
