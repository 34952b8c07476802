"""Trackio: the calls that it documents, by a stand-in; and its own database, where it is installed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from potstill.data import ImageDataset
from potstill.tracking import Tracking
from tests.children import ROOT
from tests.runs import dataset, quick_validation
from tests.tracking.sessions import EVALUATION, LOSSES, PICTURES, VALIDATIONS, track_interrupted_and_resumed

pytestmark = pytest.mark.slow

__all__ = ["dataset", "quick_validation"]


class StandIn(ModuleType):
    """Trackio's documented functions: ``init``, the run's ``log``, ``Image``, ``Table`` and ``finish``."""

    __file__ = "trackio.py"

    def __init__(self) -> None:
        super().__init__("trackio")
        self.opened: list[dict[str, Any]] = []
        self.logged: list[tuple[int, dict[str, Any]]] = []
        self.finished = 0
        self.utils = SimpleNamespace(resolve_space_id_and_server_url=lambda space, server: (None, None))

    def init(self, **arguments: Any) -> StandIn:
        print("* Trackio project initialized")
        self.opened.append(arguments)
        return self

    def log(self, metrics: dict[str, Any], step: int) -> None:
        self.logged.append((step, metrics))

    def finish(self) -> None:
        self.finished += 1

    @staticmethod
    def Image(value: Any) -> tuple[str, Any]:
        return "image", value

    @staticmethod
    def Table(columns: list[str], data: list[list[Any]]) -> tuple[str, Any]:
        return "table", [dict(zip(columns, row, strict=True)) for row in data]

    def steps(self, name: str) -> list[int]:
        return [step for step, metrics in self.logged if name in metrics]


def test_a_run_in_two_sessions_is_one_run(
    dataset: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    trackio = StandIn()
    monkeypatch.setitem(sys.modules, "trackio", trackio)
    track_interrupted_and_resumed("trackio:project=thesis", tmp_path / "run", dataset)
    name = json.loads((tmp_path / "run" / "tracking.json").read_text())["trackio"]["run"]
    assert name.startswith("run-")
    assert [each["name"] for each in trackio.opened] == [name] * 3
    assert [each["resume"] for each in trackio.opened] == ["never", "allow", "allow"]
    assert {each["project"] for each in trackio.opened} == {"thesis"}
    assert trackio.opened[0]["config"]["method.name"] == "dm"
    assert trackio.steps("loss") == LOSSES
    assert trackio.steps("validation/accuracy") == VALIDATIONS
    assert trackio.steps("set") == PICTURES
    (table,) = (metrics["evaluation/quick@1"][1] for _, metrics in trackio.logged if "evaluation/quick@1" in metrics)
    assert table[0]["accuracy"] == 0.6
    assert trackio.finished == 3
    assert capsys.readouterr().out == "", "what Trackio says is none of a command's output"


def test_another_project_is_told_of_the_whole_run(
    dataset: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "trackio", StandIn())
    track_interrupted_and_resumed("trackio:project=thesis", tmp_path / "run", dataset)
    trackio = StandIn()
    monkeypatch.setitem(sys.modules, "trackio", trackio)
    with Tracking("trackio", tmp_path / "run") as tracking:
        tracking("evaluation", {"evaluation": EVALUATION})
    assert [(each["project"], each["resume"]) for each in trackio.opened] == [("potstill", "never")]
    assert trackio.steps("loss") == LOSSES


READ = """
import json, sys
from trackio.sqlite_storage import SQLiteStorage

(run,) = SQLiteStorage.get_runs("potstill")
print(json.dumps([run, SQLiteStorage.get_logs("potstill", run), SQLiteStorage.get_run_config("potstill", run)]))
"""


@pytest.mark.skipif(importlib.util.find_spec("trackio") is None, reason="trackio is not installed")
def test_the_real_database_has_the_run(tmp_path: Path):
    # Trackio reads TRACKIO_DIR when it is imported, so it is used in processes of its own.
    here = {"TRACKIO_DIR": str(tmp_path / "database"), "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    environment = {**os.environ, **here, "OMP_NUM_THREADS": "1"}
    run = str(tmp_path / "run")
    small = ["--ipc", "1", "--network", "convnet:depth=1:width=4", "--batch-real", "8", "--iterations", "4"]
    for words in (
        ["distill", "dm", *small, "--validate-every", "2", "--out", run, "--track", "trackio"],
        ["evaluate", run, "--recipe", "quick", "--repeats", "1", "--baselines", "none", "--track", "trackio"],
    ):
        subprocess.run([sys.executable, "-m", "potstill", *words], env=environment, check=True, capture_output=True)
    done = subprocess.run([sys.executable, "-c", READ], env=environment, check=True, capture_output=True, text=True)
    name, logs, config = json.loads(done.stdout.splitlines()[-1])
    assert name == json.loads((tmp_path / "run" / "tracking.json").read_text())["trackio"]["run"]
    assert config["method.name"] == "dm"
    assert [each["step"] for each in logs if "loss" in each] == [1, 2, 3, 4]
    assert [each["step"] for each in logs if "validation/accuracy" in each] == [2, 4]
    assert [each["step"] for each in logs if "set" in each] == [2, 4]
    assert any("evaluation/quick@1" in each for each in logs)
