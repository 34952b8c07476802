"""Small distillations that the tests of the driver share, and what must be equal about two of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from potstill.data import ImageDataset
from potstill.distillation import validation
from potstill.distillation.checkpoint import Checkpoint
from potstill.distillation.run_folder import RunFolder
from potstill.distillation.settings import Settings
from potstill.methods import DM, DataDAM
from potstill.runtime.events import read_events
from potstill.runtime.files import sha256
from potstill.synthetic import SyntheticSet
from tests.small import NETWORK, small_digits

ITERATIONS = 6
SETTINGS = Settings(
    method=DM(batch_real=8, learning_rate=0.1), ipc=1, network=NETWORK, iterations=ITERATIONS, validate_every=2
)
TRAINED = replace(SETTINGS, method=DataDAM(batch_real=8, network_iterations=4, network_steps=1))


@pytest.fixture(scope="module")
def dataset() -> ImageDataset:
    return small_digits()


@pytest.fixture(autouse=True)
def quick_validation(monkeypatch: pytest.MonkeyPatch):
    """An accuracy that depends on the images alone and takes no time; one test looks at the real one."""
    monkeypatch.setattr(validation, "validation_accuracy", lambda images, dataset, **rest: pretended(images))


def pretended(images: SyntheticSet) -> float:
    return int(sha256(images.images.numpy().tobytes())[:6], 16) / 16**6


def lasting(folder: Path) -> dict[str, Any]:
    """All that must not depend on interruptions: everything but times and the record of the sessions themselves."""
    run = RunFolder(folder)
    checkpoint, manifest = Checkpoint.load(run.checkpoint), run.read_manifest().to_json()
    return {
        "set": run.synthetic.read_bytes(),
        "start": run.start.read_bytes(),
        "config": run.config.read_bytes(),
        "state": {name: tensor.numpy().tobytes() for name, tensor in sorted(checkpoint.state.items())},
        "best": (checkpoint.best_iteration, checkpoint.best_accuracy, checkpoint.iteration),
        "events": [
            {name: value for name, value in event.items() if name != "seconds"}
            for event in read_events(run.metrics)
            if event["event"] in ("step", "validation")
        ],
        "manifest": {
            name: manifest[name]
            for name in ("status", "iterations", "chosen_iteration", "tensors_sha256", "set_bytes", "seed", "dataset")
        },
    }
