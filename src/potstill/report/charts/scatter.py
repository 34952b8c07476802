"""Accuracy against a cost: points with names that do not overlap."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from potstill.report.charts import Scale, Tick, logarithmic_scale

LABEL_HEIGHT = 9.0
"""The height of a name, in percent of the chart's."""


@dataclass(frozen=True)
class Point:
    """A named point in a chart; ``x``, ``y`` and the height of the name, ``label``, are in percent of its sides."""

    name: str
    x: float
    y: float
    label: float


@dataclass(frozen=True)
class Scatter:
    """A chart of points; ``summary`` describes it in one sentence for screen readers."""

    title: str
    x_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    points: tuple[Point, ...]
    summary: str


@dataclass(frozen=True)
class Cost:
    """The quantity on a horizontal axis: title of the chart, label of the axis, and a function that formats values."""

    title: str
    label: str
    show: Callable[[float], str]


def scatter(
    cost: Cost, points: Sequence[tuple[str, float, float]], y_scale: Scale, show: Callable[[float], str]
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
    x_scale = logarithmic_scale(min(costs) / 1.6, max(costs) * 1.6, cost.show)
    heights = [y_scale.position(height) for _, _, height in points]
    places = [
        Point(name, x_scale.position(value), height, label)
        for (name, value, _), height, label in zip(points, heights, spread(heights, LABEL_HEIGHT), strict=True)
    ]
    listed = "; ".join(f"{name}: {show(height)} at {cost.show(value)}" for name, value, height in points)
    return Scatter(cost.title, cost.label, x_scale.ticks, y_scale.ticks, tuple(places), f"{cost.title}: {listed}.")


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Heights moved up as little as possible, so that each is at least ``gap`` above the next lower one."""
    placed: dict[int, float] = {}
    last = -math.inf
    for place in sorted(range(len(heights)), key=heights.__getitem__):
        placed[place] = last = max(heights[place], last + gap)
    return [placed[place] for place in range(len(heights))]
