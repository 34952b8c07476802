"""The outcome of a comparison in one sentence, and remarks that limit what may be concluded from it."""

from __future__ import annotations

from collections.abc import Sequence

from potstill.report import wording
from potstill.schema.comparison import Comparison, TrainedNetwork


def lead(record: Comparison, network: str) -> str:
    """The set with the highest accuracy of a network; sets whose accuracies are equal as printed share the place."""
    results = {
        item.name: item.networks[network]
        for item in record.sets
        if network in item.networks and item.networks[network].usable
    }
    title = wording.network_title(network)
    if not results:
        return f"{title} could not be trained on any of the sets."
    ordered = sorted(results, key=lambda name: -results[name].mean)
    best, others = _places(ordered, results)
    reached = wording.percent(results[best[0]].mean)
    if len(best) == len(results) > 1:
        return f"{title} reaches the same accuracy with {_listed(ordered)}: {reached} on the test set."
    highest = f"{title} reaches the highest accuracy with {_listed(best)}: {reached} on the test set"
    if not others:
        return f"{highest}."
    second = f"{others[0]} ({wording.percent(results[others[0]].mean)})"
    shown = [{item.first, item.second} for item in record.shown if item.network == network]
    if all({name, others[0]} in shown for name in best):
        return f"{highest}, significantly above {second}."
    return f"{highest}; the difference from {second} may be due to chance."


def remarks(record: Comparison) -> list[str]:
    """What limits the outcome."""
    stopped = [f"{item.name} ({item.status})" for item in record.sets if item.status not in ("complete", None)]
    return [
        _tested(record) if record.differences else _untested(record),
        *(
            ["Results were measured under different conditions: see the end of the page."]
            if len(record.made_on) > 1
            else []
        ),
        *([f"Not distilled to the end: {', '.join(stopped)}."] if stopped else []),
    ]


def _places(ordered: Sequence[str], results: dict[str, TrainedNetwork]) -> tuple[list[str], list[str]]:
    """The names in the first place, then all others."""
    reached = wording.percent(results[ordered[0]].mean)
    best = [name for name in ordered if wording.percent(results[name].mean) == reached]
    return best, [name for name in ordered if name not in best]


def _listed(names: Sequence[str]) -> str:
    *some, last = names
    return f"{', '.join(some)} and {last}" if some else last


def _tested(record: Comparison) -> str:
    total, shown = len(record.differences), len(record.shown)
    level = f"{100 * record.significance:g}{wording.SPACE}%"
    if total == 1:
        return f"The difference is {'' if shown else 'not '}significant at {level}."
    are = "none is" if not shown else "1 is" if shown == 1 else f"{wording.count(shown)} are"
    return f"Of {wording.count(total)} differences between two sets, {are} significant, at {level} for all together."


def _untested(record: Comparison) -> str:
    repeats = {result.repeats for item in record.sets for result in item.networks.values() if result.usable}
    return "One repeat each: no difference can be shown." if repeats == {1} else "No difference could be tested."
