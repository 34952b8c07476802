"""Accuracies beside their baselines: what is compared, and where its marks stand on a scale."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from potstill.report import wording
from potstill.report.records import Run
from potstill.report.scales import Scale, Tick, linear_scale
from potstill.report.scores import Entry, Failure, Score


@dataclass(frozen=True)
class Contender:
    """One set that networks were trained on; ``kind`` is ``distilled`` or a baseline's name."""

    kind: str
    title: str
    entry: Entry


@dataclass(frozen=True)
class Comparison:
    """One network trained on each set."""

    network: str
    contenders: tuple[Contender, ...]


@dataclass(frozen=True)
class Mark:
    """A score on the scale; positions are percent of its length."""

    mean: float
    interval: tuple[float, float] | None
    repeats: tuple[float, ...]


@dataclass(frozen=True)
class Line:
    """One line of the chart and of the table: a contender in words, and its mark unless it failed."""

    kind: str
    title: str
    mean: str = ""
    std: str = ""
    interval: str = ""
    repeats: str = ""
    seconds: str = ""
    failed: str = ""
    mark: Mark | None = None


@dataclass(frozen=True)
class AccuracyChart:
    """The chart, network by network."""

    ticks: tuple[Tick, ...]
    groups: tuple[tuple[str, tuple[Line, ...]], ...]


def comparisons(run: Run) -> list[Comparison]:
    """What was evaluated: each network on the distilled set, then on the baselines' sets."""
    if run.evaluation is None:
        return []
    baselines = run.evaluation.baselines
    return [
        Comparison(
            wording.network_title(network),
            (
                Contender("distilled", f"{wording.images(len(run.after))}, distilled", entry),
                *(
                    Contender(name, wording.baseline_title(name, run), entries[network])
                    for name, entries in baselines.items()
                    if network in entries
                ),
            ),
        )
        for network, entry in run.evaluation.networks.items()
    ]


def accuracy_scale(compared: list[Comparison]) -> Scale:
    """A scale of whole tens of percent that holds every score, repeat and interval."""
    values = [value for score in _scores(compared) for value in (*score.accuracies, *(score.interval or ()))]
    low, high = min(values, default=0.0), max(values, default=1.0)
    floor = max(0, int(10 * low)) / 10
    ceiling = min(10, int(10 * high) + 1) / 10
    return linear_scale(min(floor, ceiling - 0.1), ceiling, wording.percent)


def accuracy_chart(compared: list[Comparison]) -> AccuracyChart:
    """The chart of what is compared; it has no group where that is nothing."""
    scale = accuracy_scale(compared)
    return AccuracyChart(
        ticks=scale.ticks,
        groups=tuple(
            (comparison.network, tuple(_line(contender, scale) for contender in comparison.contenders))
            for comparison in compared
        ),
    )


def _scores(compared: list[Comparison]) -> Iterator[Score]:
    for comparison in compared:
        yield from (item.entry for item in comparison.contenders if isinstance(item.entry, Score))


def _line(contender: Contender, scale: Scale) -> Line:
    score = contender.entry
    if isinstance(score, Failure):
        return Line(contender.kind, contender.title, failed=score.reason)
    ends = score.interval
    rate = "" if score.learning_rate is None else f", learning rate {score.learning_rate:g}"
    return Line(
        kind=contender.kind,
        title=contender.title + rate,
        mean=wording.percent(score.mean),
        std=wording.points(score.std) if score.std is not None else "",
        interval=wording.interval(ends) if ends else "",
        repeats=", ".join(wording.points(accuracy) for accuracy in score.accuracies),
        seconds=wording.duration(score.seconds) if score.seconds is not None else "",
        mark=Mark(
            mean=scale.position(score.mean),
            interval=(scale.position(ends[0]), scale.position(ends[1])) if ends else None,
            repeats=tuple(scale.position(accuracy) for accuracy in score.accuracies),
        ),
    )
