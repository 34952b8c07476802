"""Robust scores of the set, and the accuracies that they are computed from."""

from __future__ import annotations

from dataclasses import dataclass

from potstill.report import wording
from potstill.report.run import Run, Section
from potstill.schema.evaluation import Repeats
from potstill.schema.robustness import Robustness

KINDS = {
    "synthetic augmented": "the set, with augmentation",
    "random augmented": "random images, with augmentation",
    "synthetic plain": "the set, without augmentation",
    "random plain": "random images, without augmentation",
    "synthetic hard": "the set with hard labels, with augmentation",
}
"""The trainings by their names in the record."""


@dataclass(frozen=True)
class Row:
    """One kind of training in words."""

    name: str
    accuracy: str
    interval: str
    rate: str


@dataclass(frozen=True)
class View:
    """Both scores in a sentence, how they were measured, and the table of accuracies."""

    summary: str
    measured: str
    rows: list[Row]


def view(run: Run) -> View | None:
    """The scores of a run's set, if they were measured."""
    scores = run.record(Robustness)
    if scores is None:
        return None
    full = wording.percent(scores.full)
    numbers = sorted({len(accuracies) for accuracies in scores.accuracies.values()})
    repeats = " or ".join(map(wording.count, numbers)) + (" repeat" if numbers == [1] else " repeats")
    return View(
        summary=(
            f"Label robust score {wording.points(scores.label_score)}, augmentation robust score "
            f"{wording.points(scores.augmentation_score)}, of 100: {scores.track} labels, "
            f"{wording.network_title(scores.network)}, {scores.recipe}; "
            f"on the full data, after {wording.images(scores.full_epochs, 'epoch')}, {full}."
        ),
        measured=f"{repeats} of each training; seed {scores.seed}; measured on {scores.made_on}.",
        rows=[
            _row(KINDS.get(name, name), Repeats(accuracies=accuracies), scores.rates[name])
            for name, accuracies in scores.accuracies.items()
        ],
    )


def _row(name: str, result: Repeats, rate: float) -> Row:
    return Row(
        name=name,
        accuracy=wording.percent(result.mean),
        interval=wording.interval(result.interval) if result.interval else "–",
        rate=f"{rate:g}",
    )


SECTION = Section("robustness", view, Robustness)
