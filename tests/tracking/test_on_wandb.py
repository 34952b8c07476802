"""Weights & Biases without a connection: what is in the files that wandb sync would send."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from potstill.data import ImageDataset
from potstill.distillation import distill, driver, in_turn
from potstill.runtime.errors import UserError
from potstill.tracking import Tracking, make_trackers
from tests.runs import SETTINGS, dataset, quick_validation
from tests.tracking.addresses import closed_port
from tests.tracking.sessions import LOSSES, PICTURES, VALIDATIONS, Killed, stop_after, track_interrupted_and_resumed

wandb: Any = pytest.importorskip("wandb")
pytestmark = pytest.mark.slow

__all__ = ["dataset", "quick_validation"]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    for name in ("WANDB_DIR", "WANDB_PROJECT", "WANDB_NAME", "WANDB_RUN_ID", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    wandb.teardown()  # it reads the environment once
    yield
    wandb.teardown()


def test_a_run_in_two_sessions_is_one_run(dataset: ImageDataset, tmp_path: Path):
    from tests.tracking.wandb_file import history, records, summary

    folder = tmp_path / "run"
    track_interrupted_and_resumed("wandb:project=thesis", folder, dataset)
    name = json.loads((folder / "tracking.json").read_text())["wandb"]["run"]
    files = sorted((folder / "wandb").glob(f"offline-run-*/run-{name}.wandb"), key=lambda path: path.stat().st_mtime)
    assert len(files) == 3, "a folder for each session, all of one run"
    (first, *_) = (each.run for each in records(files[0]) if each.WhichOneof("record_type") == "run")
    assert (first.run_id, first.project, first.display_name) == (name, "thesis", "run")
    config = {item.key: json.loads(item.value_json) for item in first.config.update}
    assert (config["method.name"], config["ipc"]) == ("dm", 1)
    logged = [entry for path in files for entry in history(path)]
    assert [entry["iteration"] for entry in logged if "loss" in entry] == LOSSES
    assert [entry["iteration"] for entry in logged if "validation/accuracy" in entry] == VALIDATIONS
    pictures = [entry for entry in logged if entry.get("set/_type") == "image-file"]
    assert [entry["iteration"] for entry in pictures] == PICTURES
    assert all(list(path.parent.glob("files/media/images/set_*.png")) for path in files[:2])
    axes = {each.metric.glob_name: each.metric.step_metric for each in records(files[0]) if each.HasField("metric")}
    assert axes["*"] == "iteration"
    assert [summary(path).get("status") for path in files] == ["interrupted", "complete", None]
    assert [each.exit.exit_code for path in files for each in records(path) if each.HasField("exit")] == [1, 0, 0]
    (means,) = (entry for entry in logged if "evaluation/quick@1/convnet:width=8/distilled" in entry)
    assert means["evaluation/quick@1/convnet:width=8/distilled"] == 0.6
    (table,) = files[2].parent.glob("files/media/table/evaluation/quick@1_*.table.json")
    rows = json.loads(table.read_text())
    assert rows["data"][0][:3] == ["convnet:width=8", "distilled", 0.6]


def test_files_go_where_the_environment_says(dataset: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    track_interrupted_and_resumed("wandb", tmp_path / "run", dataset)
    assert not (tmp_path / "run" / "wandb").exists()
    assert list((tmp_path / "elsewhere" / "wandb").glob("offline-run-*/*.wandb"))


def test_after_a_kill_the_new_folder_has_the_whole_curve(
    dataset: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from tests.tracking.wandb_file import history

    monkeypatch.setattr(driver, "CHECKPOINT_SECONDS", -1.0)
    folder = tmp_path / "run"
    with pytest.raises(Killed):
        distill(SETTINGS, dataset, out=folder, listen=in_turn(Tracking("wandb", folder), stop_after(5, Killed)))
    wandb.teardown(exit_code=1)  # in place of the end of the process
    with Tracking("wandb", folder) as tracking:
        distill(SETTINGS, dataset, out=folder, resume=True, listen=tracking)
    last = max((folder / "wandb").glob("offline-run-*/run-*.wandb"), key=lambda path: path.stat().st_mtime)
    assert [entry["iteration"] for entry in history(last) if "loss" in entry] == LOSSES
    assert [entry["iteration"] for entry in history(last) if "validation/accuracy" in entry] == VALIDATIONS


def test_a_server_out_of_reach_is_one_line_before_anything_runs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    there = closed_port()
    monkeypatch.setenv("WANDB_BASE_URL", f"http://{there}")
    wandb.teardown()
    with pytest.raises(UserError, match=rf"wandb cannot reach http://{there} .*or set WANDB_MODE=offline"):
        make_trackers(["wandb"])


def test_a_failed_login_shows_no_secrets(monkeypatch: pytest.MonkeyPatch):
    def refused() -> None:
        raise ValueError("no entry for http://me:secret@host/x")

    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_BASE_URL", "http://me:secret@host")
    monkeypatch.setattr("potstill.tracking.on_wandb.check_reachable", lambda *unused: None)
    monkeypatch.setattr(wandb, "login", refused)
    wandb.teardown()
    with pytest.raises(UserError, match=r"wandb cannot log in to http://host \(no entry for http://host/x\)"):
        make_trackers(["wandb"])
