"""The worked example of a method that lives elsewhere: its document, its commands, its checks, and who imports it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import potstill
from potstill.applications.architecture_search import spaces
from potstill.cli.main import main
from potstill.distillation import Settings
from potstill.distillation.run_folder import RunFolder
from potstill.methods import find_method
from potstill.runtime.errors import UserError
from potstill.synthetic import SyntheticSet
from potstill.testing import CHECKS, Case, check_method
from tests.small import NETWORK

ROOT = Path(__file__).parents[1]
DOCUMENT = (ROOT / "docs" / "your-own-method.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "docs" / "examples" / "pixel_means.py"
NAME = "pixel_means:PixelMeans"
LENGTH = ("--iterations", "10", "--validate-every", "0")
"""In place of the document's ``--iterations 100``, which would take most of its time to validate."""
SOURCES = Path(potstill.__file__).parents[1]


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(EXAMPLE.parent)
    yield
    sys.modules.pop("pixel_means", None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands of the document have been run."""
    folder = tmp_path_factory.mktemp("elsewhere")
    shutil.copy(EXAMPLE, folder)
    (block,) = re.findall(r"(?ms)^```\n(export PYTHONPATH=.+?)^```$", DOCUMENT)
    block = block.replace("--iterations 100", " ".join(LENGTH))
    # -P: the current directory is found because the commands say so, and for no other reason.
    shell = f'potstill() {{ PYTHONPATH="$PYTHONPATH:{SOURCES}" "{sys.executable}" -P -m potstill "$@"; }}\n{block}'
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(["bash", "-e", "-c", shell], cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "@misc{doe2026pixelmeans" in done.stdout
    return folder


def test_the_document_shows_the_file_and_it_is_short():
    code = EXAMPLE.read_text(encoding="utf-8")
    assert f"```python\n{code}```" in DOCUMENT
    assert len([line for line in code.splitlines() if line.strip()]) <= 60


@pytest.mark.slow
def test_its_commands_distil_and_resume(folder: Path):
    run = RunFolder(folder / "runs" / "pixel-means")
    manifest = run.read_manifest()
    assert manifest.method.name == NAME
    assert (manifest.status, manifest.iterations.done) == ("complete", 10)
    assert SyntheticSet.load(run.synthetic).provenance["method"]["name"] == NAME
    assert tomllib.loads(run.config.read_text())["method"] == {"name": NAME, "batch_real": 64, "learning_rate": 0.1}


@pytest.mark.slow
def test_resuming_an_interrupted_run_imports_it_and_ends_with_the_same_bits(
    folder: Path, importable: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    options = ["--dataset", "digits", "--ipc", "1", *LENGTH]
    assert main(["distill", NAME, *options, "--time-limit", "0.001s"]) == 0
    (started,) = Path("runs").iterdir()
    assert started.name == "pixel_means-PixelMeans-digits-ipc1"
    assert RunFolder(started).read_manifest().status == "time limit"
    assert main(["distill", "--out", str(started), "--resume"]) == 0
    whole = RunFolder(folder / "runs" / "pixel-means").read_manifest()
    assert RunFolder(started).read_manifest().tensors_sha256 == whole.tensors_sha256


@pytest.mark.slow
@pytest.mark.usefixtures("few_epochs")
def test_reading_a_run_imports_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(spaces, "SPACES", {"convnet-22": {"small": "mlp:width=4", "wide": "mlp:width=8"}})
    shutil.copytree(folder / "runs", tmp_path / "runs")
    run = str(tmp_path / "runs" / "pixel-means")
    quick = ["--recipe", "quick", "--repeats", "1", "--networks", NETWORK, "--executor", "here"]
    assert main(["evaluate", run, *quick, "--baselines", "random"]) == 0
    assert main(["compare", run, "random", *quick, "--no-full", "--out", str(tmp_path / "comparison")]) == 0
    assert main(["search", run, "--top", "1", "--full-epochs", "1", "--executor", "here"]) == 0
    assert main(["export", run, "--format", "npz", "--out", str(tmp_path / "set.npz")]) == 0
    assert main(["report", run]) == 0
    assert "pixel_means" not in sys.modules
    assert NAME in (tmp_path / "comparison" / "comparison.json").read_text()
    assert NAME in (Path(run) / "report.html").read_text()
    assert (tmp_path / "set.npz").exists()
    capsys.readouterr()
    assert main(["distill", "--out", run, "--resume"]) == 2
    assert (
        "there is no module 'pixel_means'; install its package, or add its directory to PYTHONPATH"
        in capsys.readouterr().err
    )


@pytest.mark.slow
def test_a_run_is_not_resumed_as_another_method_and_nothing_is_imported_to_say_so(folder: Path, capsys: Any):
    run = folder / "runs" / "pixel-means"
    with pytest.raises(UserError, match="is a run of pixel_means:PixelMeans, not of dm"):
        potstill.distill(potstill.DM(), out=run, resume=True)
    assert main(["distill", "dm", "--out", str(run), "--resume"]) == 2
    assert f"is for method '{NAME}'" in capsys.readouterr().err
    assert "pixel_means" not in sys.modules


def test_its_help_lists_its_options(importable: None, capsys: Any):
    with pytest.raises(SystemExit):
        main(["distill", NAME, "--help"])
    shown = capsys.readouterr().out
    assert f"potstill distill {NAME}" in shown
    assert "--batch-real" in shown
    assert "step size for the synthetic pixels" in shown


def test_settings_survive_their_file(importable: None, tmp_path: Path):
    settings = Settings(method=find_method(NAME)(), ipc=3)
    path = tmp_path / "config.toml"
    path.write_text(settings.to_toml())
    assert Settings.from_toml(path) == settings
    assert settings.default_folder == Path("runs/pixel_means-PixelMeans-digits-ipc3")


@pytest.mark.slow
def test_the_checks_of_the_document_pass(importable: None):
    (code,) = re.findall(r"(?ms)^```python\n(from pixel_means.+?)^```$", DOCUMENT)
    exec(code, {})


@pytest.mark.slow
@pytest.mark.parametrize("promise", CHECKS)
def test_each_promise_is_noticed_when_it_is_broken(promise: str):
    """A faulty method for each: see ``tests/testing/faulty.py``."""
    faulty = import_module("tests.testing.faulty").FAULTY[promise]
    with pytest.raises(AssertionError, match=f"fails the check {promise!r}: "):
        check_method(faulty, skip=[name for name in CHECKS if name != promise])


def test_a_check_that_there_is_not_cannot_be_skipped():
    with pytest.raises(ValueError, match="no check 'nonsense'"):
        check_method(potstill.DM, skip=["nonsense"])


def test_a_method_that_never_moves_is_asked_for_no_movement():
    assert not Case(potstill.Random).moves
