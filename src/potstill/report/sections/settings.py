"""How to repeat the run, and what identifies it and its evaluation."""

from __future__ import annotations

from dataclasses import dataclass

from potstill.report import wording
from potstill.report.protocol import Trained, measured_on, protocol
from potstill.report.run import Run, Section
from potstill.schema.evaluation import Evaluation


@dataclass(frozen=True)
class Group:
    """Rows of names and values under a title."""

    title: str
    rows: list[tuple[str, str]]


@dataclass(frozen=True)
class View:
    """How to repeat the run.

    Attributes:
        command: the command line that started the run; empty if it was started from Python.
        config: the text of ``config.toml``.
        groups: everything that identifies the run, and its evaluation if there is one.
    """

    command: str
    config: str
    groups: list[Group]


def view(run: Run) -> View:
    """The settings of a run."""
    groups = [Group("The run", _run_rows(run))]
    if run.evaluation is not None:
        groups.append(Group("Its evaluation", _evaluation_rows(run.evaluation, run)))
    return View(
        command=run.manifest.command,
        config=run.config_text.rstrip(),
        groups=groups,
    )


def _run_rows(run: Run) -> list[tuple[str, str]]:
    manifest = run.manifest
    return [
        ("status", manifest.status),
        ("started", manifest.started),
        ("seed", str(manifest.seed)),
        *(_iterations(run) if run.distilled else []),
        ("dataset fingerprint", manifest.dataset.fingerprint),
        ("SHA-256 of the tensors", manifest.tensors_sha256),
        *((name, str(value)) for name, value in manifest.machine.items()),
        ("device", manifest.compute.device),
        ("precision", manifest.compute.precision),
        ("compiled", "yes" if manifest.compute.compile else "no"),
    ]


def _iterations(run: Run) -> list[tuple[str, str]]:
    chosen, iterations = run.manifest.chosen_iteration, run.manifest.iterations
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
        Trained(epochs=[result.epochs for result in on_full], images=run.manifest.dataset.train),
        kind=run.after.kind,
    )
    return [
        *steps,
        ("seed", str(evaluation.seed)),
        ("initial weights", wording.initial_weights(evaluation.initial_source)),
        *measured_on(evaluation.made_on),
    ]


SECTION = Section("settings", view)
