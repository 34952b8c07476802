"""Accuracies of the networks that were trained on the set, compared with the baselines."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from potstill.report import wording
from potstill.report.charts.dots import AccuracyChart, ChartedNetwork, ChartedSet, accuracy_chart
from potstill.report.run import Run, Section
from potstill.schema.evaluation import Evaluation, NetworkResult


@dataclass(frozen=True)
class View:
    """The chart.

    Attributes:
        chart: the chart; it has no group if nothing was evaluated.
        tests: the number of test images or vectors, in words.
        kind: what the set holds: ``image`` or ``vector``.
        tested: whether any network has a result.
        repeated: whether any network was trained more than once on the set.
        command: the command that evaluates the run.
    """

    chart: AccuracyChart
    tests: str
    kind: str
    tested: bool
    repeated: bool
    command: str


def view(run: Run) -> View:
    """The accuracies of a run; for a run that was not evaluated, the page shows the command that does it."""
    usable = {} if run.evaluation is None else run.evaluation.usable
    return View(
        chart=accuracy_chart(comparisons(run)),
        tests=f"test {run.after.kind}s" if run.test is None else wording.images(run.test, f"test {run.after.kind}"),
        kind=run.after.kind,
        tested=bool(usable),
        repeated=any(result.repeats > 1 for result in usable.values()),
        command=f"potstill evaluate {shlex.quote(run.name)}",
    )


def comparisons(run: Run) -> list[ChartedNetwork]:
    """The accuracies of each network, trained on the distilled set and on each baseline."""
    if run.evaluation is None:
        return []
    of_set = ", ".join(filter(None, [wording.images(len(run.after), run.after.kind), run.origin]))
    return [
        ChartedNetwork(
            wording.network_title(network),
            (
                _contender("distilled", of_set, result),
                *(
                    _contender(name, baseline_title(name, run), results[network])
                    for name, results in run.evaluation.baselines.items()
                    if network in results
                ),
            ),
        )
        for network, result in run.evaluation.networks.items()
    ]


def baseline_title(name: str, run: Run) -> str:
    """A title for a baseline: the images that networks were trained on."""
    kind, train = run.after.kind, "" if run.train is None else f"{wording.count(run.train)} "
    titles = {
        "random": wording.images(run.random_images, f"random real {kind}"),
        "full": f"all {train}training {kind}s",
        "initial": "nothing: the network before training",
        "average": f"{wording.images(run.random_images, kind)}: the class means",
        "k-means": f"{wording.images(run.random_images, kind)}: centres of k-means",
    }
    return titles.get(name, f"{wording.images(run.random_images, f'real {kind}')}, by {name}")


def _contender(kind: str, title: str, result: NetworkResult) -> ChartedSet:
    return ChartedSet(kind, title, result, result.seconds, result.epochs, result.learning_rate)


SECTION = Section("accuracy", view, Evaluation)
