"""MLflow with a store on this machine: what its own client finds there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from potstill.data import ImageDataset
from potstill.runtime.errors import UserError
from potstill.tracking import make_trackers
from potstill.tracking.on_mlflow import DEFAULTS
from tests.children import ROOT
from tests.runs import dataset, quick_validation
from tests.tracking.addresses import closed_port
from tests.tracking.sessions import LOSSES, PICTURES, VALIDATIONS, track_interrupted_and_resumed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (find_spec("mlflow") and find_spec("sqlalchemy")), reason="MLflow is not installed"),
]

__all__ = ["dataset", "quick_validation"]


@pytest.fixture(scope="module")
def mlflow() -> Any:
    """Imported where it is used, for that takes more than a second."""
    return import_module("mlflow")


@dataclass(frozen=True)
class Made:
    """A process that has made a store, and the file of the store."""

    process: subprocess.CompletedProcess[str]
    file: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("made")
    process = subprocess.run(
        [sys.executable, "-c", "from potstill.tracking import make_trackers; make_trackers(['mlflow'])"],
        env={**os.environ, "MLFLOW_TRACKING_URI": "sqlite:///new.db", "PYTHONPATH": str(ROOT / "src")},
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    return Made(process, folder / "new.db")


@pytest.fixture(autouse=True)
def store(mlflow: Any, made: Made, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """An empty store of the test's own: a copy, for MLflow takes seconds to make one."""
    for variable, value in DEFAULTS.items():
        monkeypatch.setenv(variable, value)
    shutil.copy(made.file, tmp_path / "store.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/store.db")
    monkeypatch.chdir(tmp_path)
    assert mlflow.get_tracking_uri() == f"sqlite:///{tmp_path}/store.db"


def test_a_run_in_two_sessions_is_one_run(mlflow: Any, dataset: ImageDataset, tmp_path: Path):
    folder = tmp_path / "run"
    track_interrupted_and_resumed("mlflow:name=first", folder, dataset)
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("potstill")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_id == json.loads((folder / "tracking.json").read_text())["mlflow"]["run"]
    assert (run.info.run_name, run.info.status) == ("first", "FINISHED")
    assert (run.data.params["method.name"], run.data.params["ipc"]) == ("dm", "1")
    assert (run.data.tags["status"], run.data.tags["iterations"]) == ("complete", "6")

    def steps(name: str) -> list[int]:
        return [each.step for each in client.get_metric_history(run.info.run_id, name)]

    assert steps("loss") == LOSSES
    assert steps("validation/accuracy") == VALIDATIONS
    assert run.data.metrics["evaluation/quick-1/convnet:width-8/distilled"] == 0.6
    files = [each.path for each in client.list_artifacts(run.info.run_id, "images")]
    pictures = [match for path in files if (match := re.fullmatch(r"images/set.step.(\d+)\D.*\.png", path))]
    assert sorted(int(match[1]) for match in pictures) == PICTURES
    table = Path(client.download_artifacts(run.info.run_id, "evaluation/quick@1.csv")).read_text()
    assert table.splitlines()[1].startswith("convnet:width=8,distilled,0.6,")


def test_a_new_store_is_made_in_silence(made: Made):
    assert made.file.exists()
    said = made.process.stderr.splitlines()
    assert (made.process.stdout, [line for line in said if "INFO" in line]) == ("", [])


def test_a_store_of_another_folder_is_another_store(made: Made, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    shutil.copy(made.file, tmp_path / "mine.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mine.db")
    tracker = make_trackers(["mlflow"])["mlflow"]
    assert tracker.where() == {"store": f"sqlite:///{tmp_path}/mine.db", "project": ""}


def test_nobody_else_is_told_unless_the_user_wants_it(monkeypatch: pytest.MonkeyPatch):
    for given, expected in ((None, "true"), ("false", "false")):
        monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "")  # so that it is put back
        monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY")
        if given is not None:
            monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", given)
        make_trackers(["mlflow"])
        assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == expected


def test_an_interrupted_run_is_marked_as_killed(mlflow: Any, dataset: ImageDataset, tmp_path: Path):
    from potstill.distillation import distill, in_turn
    from potstill.tracking import Tracking
    from tests.runs import SETTINGS
    from tests.tracking.sessions import stop_after

    with pytest.raises(KeyboardInterrupt), Tracking("mlflow", tmp_path / "run") as tracking:
        distill(SETTINGS, dataset, out=tmp_path / "run", listen=in_turn(tracking, stop_after(3)))
    client = mlflow.MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("potstill").experiment_id])
    assert run.info.status == "KILLED"


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("http://me:secret@HERE", r"mlflow cannot reach http://HERE \(Connection refused\); start that"),
        ("nonsense://there", r"mlflow cannot use the store nonsense://there \(.*\); .*set MLFLOW_TRACKING_URI"),
        (
            "nonsense://me:s3@secret@there",
            r"mlflow cannot use the store nonsense://there \(.*\); ",
        ),
    ],
)
def test_a_store_that_cannot_be_used_is_one_line_before_anything_runs(
    address: str, complaint: str, monkeypatch: pytest.MonkeyPatch
):
    here = closed_port()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address.replace("HERE", here))
    with pytest.raises(UserError, match=complaint.replace("HERE", here)) as refused:
        make_trackers(["mlflow"])
    assert "secret" not in str(refused.value)
