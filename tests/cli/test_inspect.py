"""``potstill inspect``: what it prints and writes, and that other commands say how a new dataset was understood."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from potstill.cli import main

DISTIL = ["distill", "random", "--ipc", "1", "--network", "mlp:width=8"]


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """An archive with one test image that is in the training split, too."""
    images = np.random.default_rng(0).integers(0, 256, (24, 6, 6), dtype=np.uint8)
    images[20] = images[0]
    labels = np.arange(24) % 2
    parts = {"train": slice(0, 16), "val": slice(16, 20), "test": slice(20, 24)}
    arrays: dict[str, Any] = {f"{name}_images": images[part] for name, part in parts.items()}
    arrays |= {f"{name}_labels": labels[part] for name, part in parts.items()}
    np.savez(tmp_path / "pets.npz", **arrays)
    return tmp_path / "pets.npz"


LEAK = "warning: 1 of 4 test images (25%) is also in train: test accuracy is overestimated"


def test_it_prints_what_was_found_and_writes_the_page(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert main(["inspect", str(pets)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    lines = printed.out.splitlines()
    assert "pets: 24 images of 2 classes, 6×6, grey" in lines
    assert LEAK in lines
    folder = Path("runs/inspect-pets")
    assert lines[-1] == f"the page is {folder}/index.html; the contact sheet is {folder}/contact-sheet.png"
    assert json.loads((folder / "inspection.json").read_text())["repeated"][0]["images"] == 1
    assert (folder / "contact-sheet.png").read_bytes().startswith(b"\x89PNG")
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]
    assert rows == [["0", "8", "2", "2"], ["1", "8", "2", "2"]]


def test_a_folder_with_another_page_is_refused_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "index.html").write_text("my home page")
    assert main(["inspect", "absent", "--out", str(tmp_path)]) == 2
    assert "has an index.html that is not of an inspection; choose another --out" in capsys.readouterr().err


def test_distill_begins_with_what_a_dataset_was_understood_as(
    pets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run = tmp_path / "run"
    assert main([*DISTIL, "--dataset", str(pets), "--out", str(run)]) == 0
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "pets: 24 images of 2 classes, 6×6, grey"
    assert told[-1] == f"  {LEAK}"
    (warning,) = json.loads((run / "manifest.json").read_text())["dataset"]["account"]["warnings"]
    assert f"warning: {warning}" == LEAK
    assert main(["distill", "--resume", "--out", str(run)]) == 0
    assert capsys.readouterr().err == "", "that was said when the run began"


def test_a_catalogue_dataset_as_published_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([*DISTIL, "--out", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().err == "digits: 1,797 images of 10 classes, 8×8, grey, as published\n"


def test_a_mistake_remains_one_line(pets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([*DISTIL, "--dataset", str(pets), "--ipc", "500", "--out", str(tmp_path / "run")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    words = ["experts", "--dataset", str(pets), "--network", "convent", "--out", str(tmp_path / "experts")]
    assert main(words) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.slow
def test_experts_say_it_too(pets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["experts", "--dataset", str(pets), "--network", "mlp:width=8", "--count", "1", "--epochs", "1"]
    assert main([*words, "--out", str(tmp_path / "experts")]) == 0
    assert capsys.readouterr().err.splitlines()[-1] == f"  {LEAK}"


@pytest.mark.slow
def test_evaluate_says_it_of_another_dataset_alone(pets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = tmp_path / "run"
    assert main([*DISTIL, "--dataset", str(pets), "--out", str(run)]) == 0
    capsys.readouterr()
    words = ["evaluate", str(run), "--recipe", "quick", "--repeats", "1", "--baselines", "none"]
    assert main(words) == 0
    assert capsys.readouterr().err == ""
    assert main([*words, "--dataset", str(pets), "--out", str(tmp_path / "again.json")]) == 0
    assert capsys.readouterr().err.splitlines()[-1] == f"  {LEAK}"
