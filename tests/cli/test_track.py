"""``--track``: a tracker beside the record of a run, from the first iteration to the evaluation."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from potstill.cli import main
from tests.forks import forked

pytest.importorskip("tensorboard")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_epochs")]

SMALL = ["--ipc", "1", "--network", "convnet:depth=1:width=4", "--batch-real", "8", "--device", "cpu"]
FEW = ["--recipe", "quick", "--repeats", "2", "--baselines", "random", "--device", "cpu"]


def steps(folder: Path, name: str) -> list[int]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found: Any = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0, "images": 0}).Reload()
    if name in found.Tags()["images"]:
        return [event.step for event in found.Images(name)]
    return [event.step for event in found.Scalars(name)] if name in found.Tags()["scalars"] else []


def test_a_run_and_its_evaluation_are_tracked(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = tmp_path / "run"
    words = ["distill", "dm", *SMALL, "--iterations", "4", "--validate-every", "2", "--out", str(run)]
    assert main([*words, "--track", "tensorboard"]) == 0
    assert steps(run, "loss") == [1, 2, 3, 4]
    assert steps(run, "validation/accuracy") == [2, 4]
    assert steps(run, "set") == [0, 2, 4]
    assert main(["evaluate", str(run), *FEW, "--track", "tensorboard"]) == 0
    chosen = json.loads((run / "manifest.json").read_text())["chosen_iteration"]
    assert steps(run, "evaluation/quick@1/convnet:depth=1:width=4/distilled") == [chosen]
    assert steps(run, "evaluation/quick@1/convnet:depth=1:width=4/random") == [chosen]
    assert steps(run, "loss") == [1, 2, 3, 4]
    assert main(["report", str(run)]) == 0
    said = capsys.readouterr().err
    assert "warning" not in said
    assert "--validate-every" not in said


def test_without_validations_start_and_final_set_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = tmp_path / "run"
    words = ["distill", "dm", *SMALL, "--iterations", "4", "--out", str(run), "--track", "tensorboard"]
    assert main(words) == 0
    assert steps(run, "loss") == [1, 2, 3, 4]
    assert steps(run, "validation/accuracy") == []
    assert steps(run, "set") == [0, 4]
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("tracked: ")]
    assert "pictures of the start and of the final set; --validate-every N adds accuracies and pictures" in line
    assert main(["evaluate", str(run), *FEW, "--track", "tensorboard"]) == 0
    assert steps(run, "evaluation/quick@1/convnet:depth=1:width=4/distilled") == [4]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--track", "tensorbord"], "unknown tracker 'tensorbord'; did you mean 'tensorboard'? see tensorboard, "),
        (["--track", ","], "--track names no tracker; use one of tensorboard, wandb, trackio, mlflow"),
        (["--track", "wandb"], "the tracker wandb is not installed; pip install 'potstill[wandb]'"),
        (["--trak", "wandb"], "there is no option --trak; did you mean --track? "),
        (["--track", "tensorboard", "--track", "mlflow"], "--track is given twice; give it once"),
    ],
)
def test_a_mistake_is_one_line_before_anything_runs(
    words: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert main(["distill", "dm", "--out", str(tmp_path / "run"), *words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert said.err.startswith(f"potstill: {line}")
    assert not (tmp_path / "run").exists()


def test_a_tracker_costs_an_evaluation_nothing_but_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = tmp_path / "run"
    small = ["distill", "dm", *SMALL, "--iterations", "2", "--validate-every", "0", "--out", str(run)]
    assert main(small) == 0
    evaluate = ["evaluate", str(run), *FEW, "--track", "tensorboard"]
    (run / "metrics.jsonl").rename(tmp_path / "kept.jsonl")
    (run / "metrics.jsonl").write_text('{"event": "step", "iteration": 1, "loss": "1"}\n')
    assert main(evaluate) == 2
    assert not (run / "evaluation.json").exists(), "it is refused before the evaluation, not after"
    (tmp_path / "kept.jsonl").replace(run / "metrics.jsonl")
    (run / "tensorboard").write_text("in the way")
    (run / "manifest.json").write_text("[")
    capsys.readouterr()
    assert main(evaluate) == 0
    said = capsys.readouterr()
    assert "distilled" in said.out
    assert said.err.count("the run continues without it") == 1
    assert "Traceback" not in said.err


def test_a_run_that_is_refused_leaves_nothing_of_its_tracker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    assert main(["distill", "dm", "--out", "run", "--resume", "--track", "mlflow"]) == 2
    assert main(["evaluate", "run", "--track", "mlflow"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", ["--robustness", "--attacks", "--labels"])
def test_what_is_not_tracked_says_so(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["evaluate", str(tmp_path), what, "--track", "tensorboard"]) == 2
    assert capsys.readouterr().err == f"potstill: --track does not apply to {what}; leave it out\n"


def test_an_interrupted_run_says_how_to_go_on_with_its_tracker(tmp_path: Path):
    run = tmp_path / "run"
    words = ["distill", "dm", *SMALL, "--iterations", "60", "--validate-every", "0", "--compile", "off"]
    words += ["--out", str(run), "--track", "tensorboard"]
    with forked("-m", "tests.slowed", *words, folder=tmp_path / "said") as process:
        metrics, deadline = run / "metrics.jsonl", time.monotonic() + 120
        while not (metrics.exists() and metrics.read_text().count("step") > 1) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(60) == 130
    assert process.errors.read_text().splitlines()[-1] == (
        f"potstill: interrupted; go on with: potstill distill --out {run} --resume --track tensorboard"
    )
    before = steps(run, "loss")
    time.sleep(1)  # TensorBoard orders its files by the second in which they were begun
    assert main(["distill", "--out", str(run), "--resume", "--track", "tensorboard"]) == 0
    after = steps(run, "loss")
    assert after[: len(before)] == before
    assert after == list(range(1, 61)) != before
    assert len(list((run / "tensorboard").iterdir())) == 2
