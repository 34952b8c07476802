"""The page of continual learning, from ``continual.json`` alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np

from potstill.report import wording
from potstill.report.charts import Tick
from potstill.report.charts.curves import CurveChart, Panel, curve_chart
from potstill.report.continual_lead import continual_verdict, first_memory, remarks, way_title
from potstill.report.page import rendered
from potstill.report.protocol import measured_on, recipe_title, training_of
from potstill.report.wording import signed
from potstill.runtime.files import write_atomic
from potstill.schema.continual import ClassProtocol, Continual, DomainProtocol, Learner, Memory, stream_forgetting
from potstill.schema.statistics import confidence_interval

SHARINGS = {
    "shrinking": "divided by the classes seen so far, as in GDumb",
    "fixed": "divided by all classes from the beginning, as in the program of DM",
}
MOST_NAMES = 5
"""The most stages that a chart names; of more it shows the numbers."""
KINDS = {"selection": "selection", "method": "method, matched to", "set": "made before"}


@dataclass(frozen=True)
class Row:
    """A line of the table: one network with one memory."""

    network: str
    memory: str
    average: str
    interval: str
    stream: str
    forgetting: str
    gain: str
    seconds: str


@dataclass(frozen=True)
class MatrixView:
    """An accuracy matrix: its title, and its rows of cells with the accuracy as text and as a share."""

    title: str
    rows: tuple[tuple[str, tuple[tuple[str, float], ...]], ...]


def write_continual(folder: str | Path) -> Path:
    """Write ``continual.html`` beside the ``continual.json`` in ``folder``, and return its path.

    Raises:
        UserError: the record is missing or damaged, or the page cannot be written.
    """
    folder = Path(folder)
    path = folder / "continual.html"
    write_atomic(path, render(Continual.read(folder / Continual.FILE)))
    return path


def render(record: Continual) -> str:
    """The page as HTML."""
    shown = [learner for learner in record.learners if learner.usable]
    about = first_memory(record).name
    ordered = sorted(shown, key=lambda learner: learner.memory != about)
    return rendered(
        "continual.html.jinja",
        record=record,
        dated="",
        title=_title(record),
        facts=[f"recipe {record.recipe.label}", *map(wording.network_title, record.networks)],
        lead=continual_verdict(record),
        remarks=remarks(record),
        charts=[_chart(way, shown, record.stages) for way in dict.fromkeys(learner.way for learner in shown)],
        rows=[_row(record, learner) for learner in shown],
        failures=[(f"{_name(each)}", each.failed) for each in record.learners if each.failed],
        memories=[_memory_row(memory, record) for memory in record.memories],
        matrices=[_matrix(record, learner) for learner in ordered],
        settings=_settings(record),
    )


def _title(record: Continual) -> str:
    protocol, kind = record.protocol, record.kind
    if isinstance(protocol, ClassProtocol):
        return f"{record.datasets[0].name} in {protocol.steps} steps, with a memory of {protocol.memory} {kind}s"
    held = wording.images(protocol.images_per_class, kind)
    return f"{', then '.join(record.stages)}, with {held} of each class in memory"


def _name(learner: Learner) -> str:
    return f"{way_title(learner.way)}, {learner.memory}"


def _chart(way: tuple[str, bool], learners: Sequence[Learner], stages: Sequence[str]) -> CurveChart:
    """The average accuracy of one network after each stage, a line for each memory.

    Args:
        way: the network, and whether knowledge is distilled.
        learners: those with results, of all networks.
        stages: their names.
    """
    lines = {each.memory: each for each in learners if each.way == way}
    values = {
        name: (np.arange(1.0, each.stages + 1), np.array([fmean(each.averages(stage)) for stage in range(each.stages)]))
        for name, each in lines.items()
    }
    panel = Panel(
        title=f"{way_title(way)}: average accuracy",
        x_label="after the stage",
        lines=values,
        is_accuracy=True,
    )
    names = stages if len(stages) <= MOST_NAMES else [str(stage + 1) for stage in range(len(stages))]
    ticks = tuple(Tick(round(100 * (stage + 1) / len(stages), 3), name) for stage, name in enumerate(names))
    return replace(curve_chart(panel), x_ticks=ticks)


def _row(record: Continual, learner: Learner) -> Row:
    last = learner.stages - 1
    gain = record.gain(learner)
    bounds = confidence_interval(learner.final)
    return Row(
        network=way_title(learner.way),
        memory=learner.memory,
        average=wording.percent(fmean(learner.final)),
        interval=wording.interval(bounds) if bounds else "–",
        stream=wording.percent(fmean(course.stream_accuracy(last) for course in learner.courses)),
        forgetting=signed(fmean(stream_forgetting(course.matrix) for course in learner.courses)),
        gain="–" if gain is None else wording.gain(gain),
        seconds=wording.duration(sum(course.seconds for course in learner.courses)),
    )


def _memory_row(memory: Memory, record: Continual) -> dict[str, str]:
    kind = KINDS[memory.kind]
    return {
        "name": memory.name,
        "kind": f"{kind} {wording.network_title(record.matched)}" if memory.kind == "method" else kind,
        "images": wording.count(memory.images[-1]) if memory.images else "–",
        "size": wording.size(memory.bytes[-1]) if memory.bytes else "–",
        "seconds": wording.duration(memory.seconds) if memory.kind != "set" else "not known",
    }


def _matrix(record: Continual, learner: Learner) -> MatrixView:
    rows = zip(record.stages, learner.mean_matrix(), strict=True)
    cells = ((name, tuple((wording.points(cell), round(cell, 4)) for cell in row)) for name, row in rows)
    return MatrixView(_name(learner), tuple(cells))


def _settings(record: Continual) -> list[tuple[str, str]]:
    """How it was measured, as names and values."""
    protocol = record.protocol
    return [
        *(
            (
                "dataset",
                f"{each.name}: {wording.count(each.train)} training, {wording.count(each.test)} test {each.kind}s",
            )
            for each in record.datasets
        ),
        *(_of_classes(protocol, record.kind) if isinstance(protocol, ClassProtocol) else _of_domains(protocol, record)),
        ("iterations of methods", "the method's own" if protocol.iterations is None else str(protocol.iterations)),
        ("recipe", recipe_title(record.recipe)),
        ("training", training_of(record.recipe, record.kind)),
        ("seed", str(protocol.seed)),
        *measured_on(record.made_on),
    ]


def _of_classes(protocol: ClassProtocol, kind: str) -> list[tuple[str, str]]:
    return [
        ("protocol", "class-incremental; networks are trained from scratch on the memory alone (GDumb)"),
        ("memory", f"{wording.images(protocol.memory, kind)} at most, {SHARINGS[protocol.sharing]}"),
        ("orders of the classes", f"{protocol.orders}, drawn by the seed; one training of each network for each"),
    ]


def _of_domains(protocol: DomainProtocol, record: Continual) -> list[tuple[str, str]]:
    kind = record.kind
    epochs = record.recipe.full_epochs if protocol.epochs is None else protocol.epochs
    return [
        ("protocol", f"domain-incremental; networks go on training, on the {kind}s of a stage and the memory"),
        (f"{kind}s", f"normalised by mean and standard deviation of {record.stages[0]}"),
        ("memory", f"{wording.images(protocol.images_per_class, kind)} of each class of each past stage"),
        ("epochs of each stage", str(epochs)),
        ("knowledge distillation", f"temperature {protocol.temperature:g}, on every {kind}, with weight 1"),
        ("repeats", f"{protocol.repeats}, each with memories and trainings of its own"),
    ]
