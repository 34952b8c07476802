"""What the set is worth under hard labels, stored soft labels and a teacher's, beside random images."""

from __future__ import annotations

from dataclasses import dataclass

from potstill.report import wording
from potstill.report.run import Run, Section
from potstill.schema.evaluation import NetworkResult
from potstill.schema.label_regimes import RANDOM, REGIMES, SET, LabelRegimes, Regime

TITLES: dict[Regime, str] = {
    "hard": "hard: the classes",
    "stored": "stored: probabilities kept with the set",
    "teacher": "teacher: labels every augmented batch",
}


@dataclass(frozen=True)
class Row:
    """A regime in words, and the accuracies of a network in it."""

    regime: str
    on_set: str
    on_random: str
    difference: str
    size: str


@dataclass(frozen=True)
class View:
    """Who taught, and a table for each network."""

    measured: str
    stored: str
    tables: list[tuple[str, list[Row]]]
    kind: str


def view(run: Run) -> View | None:
    """The accuracies under each regime of labels, if they were measured."""
    found = run.record(LabelRegimes)
    if found is None or not found.networks:
        return None
    teacher = f"a {wording.network_title(found.teacher)} with {wording.percent(found.teacher_accuracy)} test accuracy"
    each = "picture" if run.after.kind == "image" else "vector"
    stored = "the set's own, learned ones" if found.own_labels else f"the teacher's for each {each} as it is"
    return View(
        measured=f"The teacher is {teacher}. Trained by {found.recipe.label}; seed {found.seed}.",
        stored=f"Stored labels of the set are {stored}; those of random {run.after.kind}s are the teacher's.",
        tables=[
            (wording.network_title(network), [_row(found, regime, results.get(regime, {})) for regime in REGIMES])
            for network, results in found.networks.items()
        ],
        kind=run.after.kind,
    )


def label_sentence(found: LabelRegimes, network: str, kind: str = "image") -> str:
    """How far the set is above random images in each regime, and how good the teacher is, in one sentence.

    Args:
        found: the accuracies.
        network: spec of the network.
        kind: what the set holds: ``image`` or ``vector``.
    """
    parts = []
    for regime in REGIMES:
        results = found.networks.get(network, {}).get(regime, {})
        apart = _difference(results)
        parts.append(f"{apart} with {regime} labels" if apart else f"not measured with {regime} labels")
    teacher = f"the teacher has {wording.percent(found.teacher_accuracy)} test accuracy"
    return f"{wording.network_title(network)} on the set beside random {kind}s: {', '.join(parts)}; {teacher}."


def _row(found: LabelRegimes, regime: Regime, results: dict[str, NetworkResult]) -> Row:
    return Row(
        regime=TITLES[regime],
        on_set=_accuracy(results.get(SET)),
        on_random=_accuracy(results.get(RANDOM)),
        difference=_difference(results) or "–",
        size=wording.size(found.bytes_of(regime)),
    )


def _accuracy(result: NetworkResult | None) -> str:
    if result is None or not result.usable:
        return "–"
    return wording.percent(result.mean) + (f" [{wording.interval(result.interval)}]" if result.interval else "")


def _difference(results: dict[str, NetworkResult]) -> str:
    usable = {name: result.mean for name, result in results.items() if result.usable}
    return f"{wording.signed(usable[SET] - usable[RANDOM])} points" if usable.keys() >= {SET, RANDOM} else ""


SECTION = Section("labels", view, LabelRegimes)
