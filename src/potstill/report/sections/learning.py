"""Learning curves: of the distillation, and of the networks of its evaluation."""

from __future__ import annotations

from potstill.report import wording
from potstill.report.charts.curves import CurveChart, Panel, curve_chart, thinned
from potstill.report.run import Run, Section


def panels(run: Run) -> list[Panel]:
    """What there is to draw: distillation first, then the networks of its evaluation."""
    results = {} if run.evaluation is None else run.evaluation.usable
    named = {wording.network_title(name): result for name, result in results.items()}
    losses = {name: (result.curve_epochs, result.curve_loss) for name, result in named.items() if result.curve_loss}
    accuracies = {
        name: (result.curve_epochs, result.curve_accuracy) for name, result in named.items() if result.curve_accuracy
    }
    distillation = {"loss": (run.losses.iterations, run.losses.values)}
    validation = {"accuracy": (run.validations.iterations, run.validations.values)}
    drawn = [
        Panel("Distillation: loss", "iteration", thinned(distillation), False),
        Panel(
            "Distillation: validation accuracy",
            "iteration",
            thinned(validation),
            True,
            run.manifest.chosen_iteration,
        ),
        Panel("Evaluation: training loss on the distilled set", "epoch", thinned(losses), False),
        Panel("Evaluation: validation accuracy during training", "epoch", thinned(accuracies), True),
    ]
    return [panel for panel in drawn if panel.lines]


def view(run: Run) -> list[CurveChart] | None:
    """The charts of a run; None where nothing was recorded."""
    return [curve_chart(panel) for panel in panels(run)] or None


SECTION = Section("learning", view)
