"""Accuracy on attacked and corrupted images over their strength, after training on the set and on random images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from potstill.report import wording
from potstill.report.attacks import attack_sentences, attack_title
from potstill.report.charts.curves import CurveChart, Panel, curve_chart
from potstill.report.run import Run, Section
from potstill.schema.attacks import ATTACKS, CORRUPTIONS, EQUAL, SET, AttackCurves, AttackedNetworks, Kind


@dataclass(frozen=True)
class Row:
    """One strength of an attack, or all severities of a corruption, with a cell for each kind of training."""

    name: str
    cells: list[str]


@dataclass(frozen=True)
class Learner:
    """The result of one network: sentences, charts, and the numbers behind them."""

    network: str
    sentences: list[str]
    charts: list[CurveChart]
    columns: list[str]
    rows: list[Row]


@dataclass(frozen=True)
class View:
    """How it was measured, and the results of each network."""

    measured: str
    learners: list[Learner]


def view(run: Run) -> View | None:
    """The robustness of networks that were trained on a run's set, if it was measured."""
    found = run.record(AttackCurves)
    if found is None or not found.networks:
        return None
    tested = f"tested on {wording.images(found.images, 'test image')}; seed {found.seed}"
    measured = f"Trained by {found.recipe.label}, {tested}; measured on {'; '.join(found.made_on)}."
    return View(measured, [_learner(found, network) for network in found.networks])


def _learner(found: AttackCurves, network: str) -> Learner:
    results = [each for each in found.networks[network] if each.accuracies]
    return Learner(
        network=wording.network_title(network),
        sentences=attack_sentences(found, network),
        charts=[_chart(found, results, kind) for kind in ATTACKS if results and found.curve(kind)],
        columns=[_title(found, each) for each in results],
        rows=[*_attacked(found, results), *_corrupted(found, results)],
    )


def _title(found: AttackCurves, result: AttackedNetworks) -> str:
    if result.trained_on == SET:
        return "the set"
    number = wording.images(result.images_per_class * round(1 / found.chance), "random image")
    return f"{number}, nearest accuracy" if result.trained_on == EQUAL else number


def _chart(found: AttackCurves, results: list[AttackedNetworks], kind: Kind) -> CurveChart:
    places = found.curve(kind)
    strengths = np.array([found.probes[place].strength for place in places])
    lines = {_title(found, each): (strengths, np.array([each.at(place).mean for place in places])) for each in results}
    title = f"{attack_title(kind)}: test accuracy"
    return curve_chart(Panel(title=title, x_label="largest change of a pixel", lines=lines, is_accuracy=True))


def _attacked(found: AttackCurves, results: list[AttackedNetworks]) -> list[Row]:
    """The clean images, and each attack at each strength."""
    rows = [Row("clean images", [_cell(each, 0) for each in results])]
    for kind in ATTACKS:
        for place in found.curve(kind)[1:]:
            name = f"{attack_title(kind)}, changes up to {found.probes[place].strength:.3g}"
            rows.append(Row(name, [_cell(each, place) for each in results]))
    if (unlimited := found.unlimited) is not None:
        rows.append(Row("PGD, any change", [_cell(each, unlimited) for each in results]))
    return rows


def _corrupted(found: AttackCurves, results: list[AttackedNetworks]) -> list[Row]:
    """Each corruption in all severities."""
    rows = []
    for kind in CORRUPTIONS:
        if places := found.curve(kind)[1:]:
            cells = [" / ".join(wording.points(each.at(place).mean) for place in places) for each in results]
            rows.append(Row(f"{kind}, severities 1 to {len(places)}", cells))
    return rows


def _cell(result: AttackedNetworks, place: int) -> str:
    repeats = result.at(place)
    ends = f" [{wording.interval(repeats.interval)}]" if repeats.interval else ""
    return f"{wording.points(repeats.mean)}{ends}"


SECTION = Section("attacks", view, AttackCurves)
