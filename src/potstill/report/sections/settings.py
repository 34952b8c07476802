"""How to repeat the run, what identifies it, and what to cite."""

from __future__ import annotations

from dataclasses import dataclass

from potstill.report import wording
from potstill.report.protocol import Trained, measured_on, protocol
from potstill.report.run import Run, Section
from potstill.schema.evaluation import Evaluation
from potstill.schema.manifest import MethodRecord


@dataclass(frozen=True)
class View:
    """How to repeat the run.

    Attributes:
        command: the command line that started the run.
        config: the text of ``config.toml``.
        rows: names and values of everything that identifies the run and its evaluation.
        method: the method and its paper.
        paper: the web address of the paper; None if it cannot be linked.
    """

    command: str
    config: str
    rows: list[tuple[str, str]]
    method: MethodRecord
    paper: str | None


def view(run: Run) -> View:
    """The settings of a run."""
    method = run.manifest.method
    return View(
        command=run.manifest.command,
        config=run.config_text.rstrip(),
        rows=_rows(run),
        method=method,
        paper=method.url if method.url.startswith(("https://", "http://")) else None,
    )


def _rows(run: Run) -> list[tuple[str, str]]:
    manifest = run.manifest
    chosen = "not recorded" if manifest.chosen_iteration is None else wording.count(manifest.chosen_iteration)
    done, asked = wording.count(manifest.iterations.done), wording.count(manifest.iterations.asked)
    rows = [
        ("status", manifest.status),
        ("started", manifest.started),
        ("seed", str(manifest.seed)),
        ("iterations", f"{done} of {asked}"),
        ("chosen iteration", chosen),
        ("dataset fingerprint", manifest.dataset.fingerprint),
        ("SHA-256 of the tensors", manifest.tensors_sha256),
        *((name, str(value)) for name, value in manifest.machine.items()),
        ("device", manifest.compute.device),
        ("precision", manifest.compute.precision),
        ("compiled", "yes" if manifest.compute.compile else "no"),
    ]
    return rows if run.evaluation is None else rows + _evaluation_rows(run.evaluation, run)


def _evaluation_rows(evaluation: Evaluation, run: Run) -> list[tuple[str, str]]:
    on_full = [result for result in evaluation.baselines.get("full", {}).values() if result.usable]
    steps = protocol(
        evaluation.recipe,
        Trained(
            epochs=[result.epochs for result in evaluation.usable.values()],
            images=len(run.after),
            step_sizes=[run.after.step_size],
        ),
        Trained(epochs=[result.epochs for result in on_full], images=run.manifest.dataset.train),
    )
    return [
        *((f"evaluation: {name}", value) for name, value in steps),
        ("evaluation: seed", str(evaluation.seed)),
        ("evaluation: initial weights", wording.initial_weights(evaluation.initial_source)),
        *((f"evaluation: {name}", made_on) for name, made_on in measured_on(evaluation.made_on)),
    ]


SECTION = Section("settings", view)
