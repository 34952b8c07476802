"""Learning curves: of the distillation, and of the networks of its evaluation."""

from __future__ import annotations

from potstill.report import wording
from potstill.report.charts.curves import CurveChart, Panel, curve_chart, thinned
from potstill.report.run import Run, Section


def panels(run: Run) -> list[Panel]:
    """The curves that were recorded: those of the distillation, then those of the evaluation's networks."""
    results = {} if run.evaluation is None else run.evaluation.usable
    named = {wording.network_title(name): result for name, result in results.items()}
    losses = {name: (result.curve_epochs, result.curve_loss) for name, result in named.items() if result.curve_loss}
    accuracies = {
        name: (result.curve_epochs, result.curve_accuracy) for name, result in named.items() if result.curve_accuracy
    }
    distillation = {"loss": (run.losses.iterations, run.losses.values)}
    validation = {"accuracy": (run.validations.iterations, run.validations.values)}
    drawn = [
        Panel(
            title="Distillation: loss",
            x_label="iteration",
            lines=thinned(distillation),
            is_accuracy=False,
        ),
        Panel(
            title="Distillation: validation accuracy",
            x_label="iteration",
            lines=thinned(validation),
            is_accuracy=True,
            chosen=None if run.manifest is None else run.manifest.chosen_iteration,
        ),
        Panel(
            title="Evaluation: training loss on the set",
            x_label="epoch",
            lines=thinned(losses),
            is_accuracy=False,
        ),
        Panel(
            title="Evaluation: validation accuracy during training",
            x_label="epoch",
            lines=thinned(accuracies),
            is_accuracy=True,
        ),
    ]
    return [panel for panel in drawn if panel.lines]


def view(run: Run) -> list[CurveChart] | None:
    """The charts of a run; None if nothing was recorded."""
    return [curve_chart(panel) for panel in panels(run)] or None


SECTION = Section("learning", view)
