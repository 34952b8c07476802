"""A run in two sessions and its evaluation, as every tracker is told of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from potstill.data import ImageDataset
from potstill.distillation import Listener, distill, in_turn
from potstill.evaluation import find_recipe
from potstill.schema.evaluation import Evaluation, NetworkResult
from potstill.tracking import Tracking, make_trackers
from tests.runs import SETTINGS

LOSSES = [1, 2, 3, 4, 5, 6]
VALIDATIONS = [2, 4, 6]
PICTURES = [0, *VALIDATIONS]
"""The iterations of which an uninterrupted run tells."""

EVALUATION = Evaluation(
    recipe=replace(find_recipe("quick"), name="quick"),
    seed=0,
    set_sha256="ab",
    dataset_fingerprint="ab",
    full_epochs=1,
    initial={"source": "random"},
    networks={"convnet:width=8": NetworkResult(accuracies=[0.5, 0.7]), "mlp": NetworkResult(failed="no memory")},
    baselines={"random": {"convnet:width=8": NetworkResult(accuracies=[0.25])}},
)


class Killed(BaseException):
    """What a kill looks like: nothing is closed or written any more."""


def stop_after(iteration: int, how: type[BaseException] = KeyboardInterrupt) -> Listener:
    """A listener that stops the run with the loss of an iteration."""

    def listen(event: str, fields: dict[str, Any]) -> None:
        if event == "step" and fields["iteration"] == iteration:
            raise how

    return listen


def track_interrupted_and_resumed(spec: str, folder: Path, dataset: ImageDataset) -> None:
    """Interrupt a run after its third iteration, resume it, and evaluate its set; each session with a new tracker."""
    with pytest.raises(KeyboardInterrupt), Tracking(spec, folder) as tracking:
        distill(SETTINGS, dataset, out=folder, listen=in_turn(tracking, stop_after(3)))
    with Tracking(spec, folder) as tracking:
        assert distill(SETTINGS, dataset, out=folder, resume=True, listen=tracking).status == "complete"
    with Tracking(make_trackers([spec]), folder) as tracking:
        tracking("evaluation", {"evaluation": EVALUATION})
