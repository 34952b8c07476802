"""``potstill audit``: what it prints, where it writes, and how it goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from potstill.applications import Audit
from potstill.cli import main
from tests.killed import killed_after

pytestmark = pytest.mark.slow

TINY = ["--pool", "120", "--images-per-class", "1", "--networks", "mlp:width=8", "--recipe", "coursework-50"]
HERE = ["--executor", "here", "--device", "cpu"]


def test_a_method_is_audited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    assert main(["audit", "random", "--shadows", "2", *TINY, *HERE]) == 0
    said = capsys.readouterr().out
    assert "attacks on 2 pipelines from a pool of 120 images" in said
    assert "mlp:width=8" in said
    assert "the page is runs/audit/audit.html" in said
    assert "A failed attack is no guarantee" in said
    assert (tmp_path / "runs" / "audit" / "audit.html").exists()
    record = Audit.read(tmp_path / "runs" / "audit" / Audit.FILE)
    assert (record.kind, record.dataset.name, record.dataset.pool) == ("selection", "digits", 120)


def test_a_run_is_audited_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = tmp_path / "run"
    assert main(["distill", "random", "--ipc", "1", "--out", str(run)]) == 0
    assert main(["audit", str(run), "--shadows", "2", *TINY, *HERE]) == 0
    record = Audit.read(run / Audit.FILE)
    assert record.kind == "run"
    assert record.neighbours is not None
    assert record.neighbours.train > 1000, "the set is compared with all images that it was made from"
    page = capsys.readouterr().out
    assert "closer to a training image than 99" in page.replace("\u00a0", " ")


def test_an_interruption_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    words = ["audit", "random", "--shadows", "2", *TINY, *HERE, "--out", str(tmp_path / "out")]
    with monkeypatch.context() as patch:
        killed_after(1, patch)
        patch.setattr("tests.killed.Killed", KeyboardInterrupt)
        assert main(words) == 130
    assert f"go on with: potstill audit random --shadows 2 {' '.join(TINY)}" in capsys.readouterr().err
    assert main(words) == 0
