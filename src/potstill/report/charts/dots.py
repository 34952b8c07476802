"""Accuracies as dots on a scale: mean, interval and repeats of each network on each set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from potstill.report.charts import Scale, Tick, linear_scale
from potstill.report.wording import count, duration, interval, percent, points
from potstill.schema.evaluation import Repeats


@dataclass(frozen=True)
class ChartedSet:
    """One set that networks were trained on.

    Attributes:
        kind: ``distilled``, a baseline's name, or ``other``.
        title: a title for the set.
        result: the accuracies.
        seconds: the training time to show; None or 0 if it is not known.
        epochs: passes over the images in each training.
        learning_rate: the tuned learning rate; None if none was tuned.
    """

    kind: str
    title: str
    result: Repeats
    seconds: float | None = None
    epochs: int = 0
    learning_rate: float | None = None


@dataclass(frozen=True)
class ChartedNetwork:
    """One network trained on each set."""

    network: str
    contenders: tuple[ChartedSet, ...]


@dataclass(frozen=True)
class Mark:
    """Accuracies on the scale, as positions in percent of its length."""

    mean: float
    interval: tuple[float, float] | None
    repeats: tuple[float, ...]


@dataclass(frozen=True)
class ChartLine:
    """One line of the chart and of the table: a contender in words, and its mark unless it failed."""

    kind: str
    title: str
    mean: str = ""
    std: str = ""
    interval: str = ""
    repeats: str = ""
    epochs: str = ""
    seconds: str = ""
    failed: str = ""
    mark: Mark | None = None


@dataclass(frozen=True)
class AccuracyChart:
    """The chart, network by network."""

    ticks: tuple[Tick, ...]
    groups: tuple[tuple[str, tuple[ChartLine, ...]], ...]


def accuracy_scale(compared: Sequence[ChartedNetwork]) -> Scale:
    """A scale that ends at multiples of ten percent and contains every mean, repeat and interval."""
    values = [value for result in _usable(compared) for value in (*result.accuracies, *(result.interval or ()))]
    low, high = min(values, default=0.0), max(values, default=1.0)
    floor = max(0, int(10 * low)) / 10
    ceiling = min(10, int(10 * high) + 1) / 10
    return linear_scale(min(floor, ceiling - 0.1), ceiling, percent)


def accuracy_chart(compared: Sequence[ChartedNetwork]) -> AccuracyChart:
    """The chart of all comparisons; it has no group if there are none."""
    scale = accuracy_scale(compared)
    return AccuracyChart(
        ticks=scale.ticks,
        groups=tuple(
            (comparison.network, tuple(_line(contender, scale) for contender in comparison.contenders))
            for comparison in compared
        ),
    )


def _usable(compared: Sequence[ChartedNetwork]) -> Iterator[Repeats]:
    for comparison in compared:
        yield from (item.result for item in comparison.contenders if item.result.usable)


def _line(contender: ChartedSet, scale: Scale) -> ChartLine:
    result = contender.result
    if not result.usable:
        return ChartLine(contender.kind, contender.title, failed=result.failed or "")
    ends = result.interval
    rate = "" if contender.learning_rate is None else f", learning rate {contender.learning_rate:g}"
    return ChartLine(
        kind=contender.kind,
        title=contender.title + rate,
        mean=percent(result.mean),
        std=points(result.std) if result.std is not None else "",
        interval=interval(ends) if ends else "",
        repeats=", ".join(points(accuracy) for accuracy in result.accuracies),
        epochs=count(contender.epochs),
        seconds=duration(contender.seconds) if contender.seconds else "",
        mark=Mark(
            mean=scale.position(result.mean),
            interval=(scale.position(ends[0]), scale.position(ends[1])) if ends else None,
            repeats=tuple(scale.position(accuracy) for accuracy in result.accuracies),
        ),
    )
