"""How to repeat the run, or where the set is from, and what identifies it and its evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from potstill.report import wording
from potstill.report.protocol import Trained, measured_on, protocol
from potstill.report.run import Run, Section
from potstill.schema.evaluation import Evaluation
from potstill.schema.manifest import Manifest

TITLES = {
    "method": "method",
    "imported_from": "imported from",
    "imported_sha256": "SHA-256 of what was imported",
    "dataset": "dataset",
    "dataset_fingerprint": "dataset fingerprint",
}
"""What a set without a run records of its making, and how it is called here; all else follows by its own name."""


@dataclass(frozen=True)
class Group:
    """Rows of names and values under a title."""

    title: str
    rows: list[tuple[str, str]]


@dataclass(frozen=True)
class View:
    """How to repeat the run, or where the set is from.

    Attributes:
        title: of the section.
        command: the command line that started the run; empty if it was started from Python, or without a run.
        config: the text of ``config.toml``; empty without a run.
        groups: everything that identifies the run or the set, and its evaluation if there is one.
    """

    title: str
    command: str
    config: str
    groups: list[Group]


def view(run: Run) -> View:
    """The settings of a run, or what a set without one says of itself."""
    manifest = run.manifest
    groups = [Group("The set", _set_rows(run)) if manifest is None else Group("The run", _run_rows(run, manifest))]
    if run.evaluation is not None:
        groups.append(Group("Its evaluation", _evaluation_rows(run.evaluation, run)))
    return View(
        title="Where the set is from" if manifest is None else "Repeat this run",
        command="" if manifest is None else manifest.command,
        config=run.config_text.rstrip(),
        groups=groups,
    )


def _set_rows(run: Run) -> list[tuple[str, str]]:
    """What the set records of its making, and its hash."""
    made = {**run.after.provenance}
    named = {field: made.pop(field, None) for field in TITLES}
    rows = [(TITLES[field], _in_words(value)) for field, value in named.items()]
    rows += [(field.replace("_", " "), _in_words(value)) for field, value in made.items()]
    return [*((title, value) for title, value in rows if value), ("SHA-256 of the set", run.after.tensors_sha256)]


def _in_words(value: object) -> str:
    """A value of a provenance; empty for none, or for one that is not recorded."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {part}" for name, part in value.items())
    return "" if value is None else str(value)


def _run_rows(run: Run, manifest: Manifest) -> list[tuple[str, str]]:
    return [
        ("status", manifest.status),
        ("started", manifest.started),
        ("seed", str(manifest.seed)),
        *(_iterations(manifest) if run.distilled else []),
        ("dataset fingerprint", manifest.dataset.fingerprint),
        ("SHA-256 of the set", manifest.tensors_sha256),
        *((name, str(value)) for name, value in manifest.machine.items()),
        ("device", manifest.compute.device),
        ("precision", manifest.compute.precision),
        ("compiled", "yes" if manifest.compute.compile else "no"),
    ]


def _iterations(manifest: Manifest) -> list[tuple[str, str]]:
    chosen, iterations = manifest.chosen_iteration, manifest.iterations
    return [
        ("iterations", f"{wording.count(iterations.done)} of {wording.count(iterations.asked)}"),
        ("chosen iteration", "not recorded" if chosen is None else wording.count(chosen)),
    ]


def _evaluation_rows(evaluation: Evaluation, run: Run) -> list[tuple[str, str]]:
    on_full = [result for result in evaluation.baselines.get("full", {}).values() if result.usable]
    steps = protocol(
        evaluation.recipe,
        Trained(
            epochs=[result.epochs for result in evaluation.usable.values()],
            images=run.after.pictures,
            step_sizes=[run.after.step_size],
        ),
        Trained(epochs=[result.epochs for result in on_full], images=run.train),
        kind=run.after.kind,
    )
    return [
        *steps,
        ("seed", str(evaluation.seed)),
        ("initial weights", wording.initial_weights(evaluation.initial_source)),
        *measured_on(evaluation.made_on),
    ]


SECTION = Section("settings", view)
