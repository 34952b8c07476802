"""The results of an evaluation as trackers take them: numbers by name, and the rows of a table."""

from __future__ import annotations

from collections.abc import Iterator

from potstill.schema.evaluation import Evaluation, NetworkResult
from potstill.tracking.base import Cell

COLUMNS = ("network", "trained on", "accuracy", "std", "low 95 %", "high 95 %", "repeats", "recipe", "set")


def rows(found: Evaluation) -> list[list[Cell]]:
    """A row of ``COLUMNS`` for each network and what it was trained on; accuracies are fractions of the test split."""
    table: list[list[Cell]] = []
    for network, trained_on, result in _results(found):
        low, high = result.interval or (None, None)
        table.append([network, trained_on, result.mean, result.std, low, high, result.repeats])
        table[-1] += [found.recipe.label, found.set_sha256]
    return table


def name(found: Evaluation) -> str:
    """What an evaluation is called: evaluations by several recipes stand beside each other."""
    return f"evaluation/{found.recipe.label}"


def means(found: Evaluation) -> dict[str, float]:
    """The mean accuracies by name, such as ``evaluation/dsa-1000@1/convnet/distilled``."""
    return {f"{name(found)}/{network}/{trained_on}": result.mean for network, trained_on, result in _results(found)}


def _results(found: Evaluation) -> Iterator[tuple[str, str, NetworkResult]]:
    """Network, what it was trained on, and the result; of those that have one."""
    for network in found.networks:
        for trained_on, results in {"distilled": found.networks, **found.baselines}.items():
            if (result := results.get(network)) is not None and result.usable:
                yield network, trained_on, result
