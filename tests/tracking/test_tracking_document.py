"""The document about trackers: its Python does what it says."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from potstill.distillation import distill
from potstill.tracking import Tracking
from tests.children import ROOT
from tests.runs import SETTINGS, dataset, quick_validation

pytest.importorskip("tensorboard")
pytestmark = pytest.mark.slow

__all__ = ["dataset", "quick_validation"]

PYTHON = re.findall(r"(?ms)^```python\n(.*?)^```$", (ROOT / "docs/tracking.md").read_text(encoding="utf-8"))


def test_the_first_example_tracks_a_run_and_its_evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(PYTHON[0], "tracking.md", "exec"), {})
    (events,) = Path("runs/python/tensorboard").iterdir()
    content = events.read_bytes()
    assert b"validation/accuracy" in content
    assert b"evaluation/quick@1/convnet/distilled" in content


def test_the_tracker_of_ones_own_is_named_by_its_module(
    dataset: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "mine.py").write_text(PYTHON[1])
    monkeypatch.syspath_prepend(tmp_path)
    with Tracking("mine:Notebook:file=notes.jsonl", tmp_path / "run") as tracking:
        distill(SETTINGS, dataset, out=tmp_path / "run", listen=tracking)  # pyright: ignore[reportArgumentType]
    del sys.modules["mine"]
    lines = [json.loads(line) for line in (tmp_path / "run" / "notes.jsonl").read_text().splitlines()]
    assert [each["iteration"] for each in lines if "loss" in each] == [1, 2, 3, 4, 5, 6]
    assert [each["iteration"] for each in lines if "validation/accuracy" in each] == [2, 4, 6]
    assert len(PYTHON) == 2
