"""Sets of other programs by the command line: imported, evaluated, compared with runs, exported, shown."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch

from potstill.cli import main
from potstill.schema.comparison import Comparison
from potstill.synthetic import SyntheticSet
from tests.small import NETWORK, digits

pytestmark = pytest.mark.slow

FEW = ["--recipe", "quick", "--networks", NETWORK, "--repeats", "2", "--device", "cpu", "--executor", "here"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, and with an evaluated import of a file in the layout of DC, DSA and DM."""
    folder, real = tmp_path_factory.mktemp("runs"), digits().train
    few = torch.cat([index[:1] for index in real.class_index]).flip(0)
    released = folder / "res_DM_digits_ConvNet_1ipc.pt"
    torch.save({"data": [[real.normalised(few), real.labels[few]]], "accs_all_exps": {}}, released)
    units = ["--dataset", "digits", "--pixels", "normalised"]
    assert main(["import", str(released), *units, "--out", str(folder / "theirs")]) == 0
    assert main(["evaluate", str(folder / "theirs"), *FEW]) == 0
    steps = ["--dataset", "digits", "--ipc", "1", "--iterations", "2", "--batch-real", "8", "--validate-every", "0"]
    small = ["--network", NETWORK, "--device", "cpu", "--out", str(folder / "mine")]
    assert main(["distill", "dm", *steps, *small]) == 0
    return folder


@pytest.mark.parametrize("first", ["mine", "theirs"])
def test_an_imported_set_is_compared_with_a_run_and_random_images(
    first: str, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    other = next(name for name in ("mine", "theirs") if name != first)
    words = [str(runs / first), str(runs / other), "random", *FEW, "--no-full"]
    assert main(["compare", *words, "--out", str(tmp_path)]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "theirs" in line and "│" in line]
    assert [cell.strip() for cell in line.split("│")][2:6] == ["1", "hard", "2,640", "–"]
    sets = {item.name: item for item in Comparison.read(tmp_path / Comparison.FILE).sets}
    assert list(sets) == [first, other, "random-digits-ipc1"]
    assert sets["theirs"].method == "imported"
    assert sets["theirs"].distilled_seconds is None
    assert sets["mine"].distilled_seconds is not None
    recorded = json.loads((runs / "theirs" / "evaluation.json").read_text())
    assert sets["theirs"].networks[NETWORK].accuracies == recorded["networks"][NETWORK]["accuracies"]
    assert (tmp_path / "comparison.html").read_text().count("<img") == 30


def test_an_imported_set_has_a_page(runs: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["report", str(runs / "theirs")]) == 0
    assert capsys.readouterr().out == f"the page is {runs / 'theirs' / 'report.html'}\n"
    page = (runs / "theirs" / "report.html").read_text()
    assert "<h1>10 images of digits, imported</h1>" in page
    assert page.count('<img class="after"') == 10
    result = json.loads((runs / "theirs" / "evaluation.json").read_text())["networks"][NETWORK]
    assert f"{100 * result['mean']:.1f}\u00a0%" in page


def test_an_imported_set_is_exported(runs: Path, tmp_path: Path):
    assert main(["export", str(runs / "theirs"), "--format", "npz", "--out", str(tmp_path / "set.npz")]) == 0
    there = SyntheticSet.load(runs / "theirs" / "synthetic.safetensors")
    with np.load(tmp_path / "set.npz") as arrays:
        assert np.array_equal(arrays["images_normalised"], there.images.numpy())


@pytest.mark.parametrize("first", ["mine", "theirs"])
def test_a_set_with_a_normalisation_of_its_own_is_measured_on_images_normalised_alike(
    first: str, runs: Path, tmp_path: Path
):
    """Of the same pixels under the same normalisation a set is worth the same, wherever it is measured."""
    made = SyntheticSet.load(runs / "theirs" / "synthetic.safetensors")
    pixels = made.images * made.std[0] + made.mean[0]
    torch.save([pixels.mul(2).sub(1), made.labels], tmp_path / "set.pt")  # from -1 to 1
    units = ["--dataset", "digits", "--pixels", "normalised", "--mean", "0.5", "--std", "0.5"]
    assert main(["import", str(tmp_path / "set.pt"), *units, "--out", str(tmp_path / "theirs")]) == 0
    assert main(["evaluate", str(tmp_path / "theirs"), *FEW, "--baselines", "none"]) == 0
    alone = json.loads((tmp_path / "theirs" / "evaluation.json").read_text())["networks"][NETWORK]["accuracies"]
    (tmp_path / "theirs" / "evaluation.json").unlink()

    words = [str(runs / "mine"), str(tmp_path / "theirs"), *FEW, "--no-full"]
    words[:2] = words[:2] if first == "mine" else words[1::-1]
    assert main(["compare", *words, "--out", str(tmp_path / "comparison")]) == 0
    sets = {item.name: item for item in Comparison.read(tmp_path / "comparison" / Comparison.FILE).sets}
    assert sets["theirs"].networks[NETWORK].accuracies == alone
    recorded = json.loads((runs / "theirs" / "evaluation.json").read_text())
    assert alone != recorded["networks"][NETWORK]["accuracies"]  # the same pictures in other units


def test_where_an_imported_set_is_measured_is_printed_whole(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "a set"
    released, units = runs / "res_DM_digits_ConvNet_1ipc.pt", ["--dataset", "digits", "--pixels", "normalised"]
    assert main(["import", str(released), *units, "--data-root", str(tmp_path), "--out", str(out)]) == 0
    printed = capsys.readouterr().out.rpartition("measure it with: ")[2].strip()
    assert shlex.split(printed) == ["potstill", "evaluate", str(out), "--data-root", str(tmp_path)]
