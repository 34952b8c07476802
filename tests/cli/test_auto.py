"""``potstill distill auto`` and ``potstill leaderboard``, from the command line to their files."""

from __future__ import annotations

import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest

from potstill.cli import main


@pytest.mark.slow
def test_auto_distils_by_what_it_says_it_has_chosen_and_the_leaderboard_shows_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run = tmp_path / "runs" / "one"
    words = ["distill", "auto", "--ipc", "1", "--time-limit", "20s", "--iterations", "2", "--out", str(run)]
    assert main([*words, "--validate-every", "0"]) == 0
    said = capsys.readouterr().err
    assert "potstill: dm --network convnet:depth=2: known for digits" in said
    assert "options given beside it take precedence" in said
    config = tomllib.loads((run / "config.toml").read_text())
    assert (config["network"], config["iterations"], config["method"]["name"]) == ("convnet:depth=2", 2, "dm")
    evaluated = ["evaluate", str(run), "--recipe", "quick", "--networks", "mlp:width=16", "--repeats", "2"]
    assert main([*evaluated, "--baselines", "random"]) == 0
    assert main(["leaderboard", str(tmp_path / "runs")]) == 0
    assert "1 results in" in capsys.readouterr().out
    assert "[dm](one)" in (tmp_path / "runs" / "leaderboard.md").read_text()


def test_iterations_follow_the_limit_however_its_option_is_spelled(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for option in (["--time-limit", "5s"], ["--time-limit=5s"], ["--time_limit", "5s"]):
        assert main(["distill", "auto", *option, "--out", str(tmp_path / "run")]) == 2
        assert "too short for anything" in capsys.readouterr().err
    assert main(["distill", "auto", "--config=elsewhere.toml"]) == 2
    assert "already has settings" in capsys.readouterr().err


def test_vectors_are_told_a_command_that_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    vectors = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    np.savez(tmp_path / "my vectors.npz", x=vectors, y=np.arange(60) % 2)
    data = ["--dataset", str(tmp_path / "my vectors.npz"), "--ipc", "1", "--time-limit", "1m"]
    assert main(["distill", "auto", *data]) == 2
    told = capsys.readouterr().err.rpartition("use ")[2]
    program, *words = shlex.split(told)
    assert program == "potstill"
    assert main([*words, "--iterations", "2", "--validate-every", "0", "--out", str(tmp_path / "run")]) == 0
