"""``potstill select`` from the command line: what is printed, written and measured."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest

from potstill.applications import RULES
from potstill.cli import main
from potstill.cli.select_command import Options

ON_CPU = ["--device", "cpu", "--precision", "float32", "--compile", "off"]


def test_the_rules_are_those_of_the_package():
    assert set(get_args(get_type_hints(Options)["by"])) == set(RULES)


def test_a_part_is_chosen_and_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "chosen"
    words = ["select", "digits", "--by", "herding", "--features", "pixels", "--fraction", "5%", "--worth"]
    words += ["--networks", "convnet:depth=1", "--repeats", "2", "--epochs", "2", "--out", str(out), *ON_CPU]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "72 of 1,438 by herding" in said
    assert "ConvNet (depth=1): " in said
    assert "on as many random images of each class" in said
    assert f"written to {out / 'selected.csv'}" in said
    assert (out / "selection.html").exists()
    with (out / "selected.csv").open(newline="") as table:
        assert len(list(csv.DictReader(table))) == 72


def test_vectors_with_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    np.save(tmp_path / "e.npy", np.random.default_rng(0).normal(size=(50, 4)))
    (tmp_path / "labels.txt").write_text("one\n" * 30 + "two\n" * 20)
    words = ["select", str(tmp_path / "e.npy"), "--labels", str(tmp_path / "labels.txt"), "--count", "10"]
    assert main([*words, "--by", "k-center", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "10 vectors chosen by k-center" in said
    assert "one" in said
