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

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_epochs")]

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


def test_an_imported_set_is_exported_and_its_export_imported(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["export", str(runs / "theirs"), "--format", "npz", "--out", str(tmp_path / "set.npz")]) == 0
    there = SyntheticSet.load(runs / "theirs" / "synthetic.safetensors")
    assert main(["import", str(runs / "theirs")]) == 2
    said = f"{runs / 'theirs'} is a set of potstill already; use it as it is: potstill evaluate {runs / 'theirs'}"
    assert capsys.readouterr().err.splitlines()[-1] == f"potstill: {said}"
    assert main(["import", str(tmp_path / "set.npz"), "--dataset", "digits", "--out", str(tmp_path / "again")]) == 0
    again = SyntheticSet.load(tmp_path / "again" / "synthetic.safetensors")
    assert again.images.equal(there.images)
    assert again.labels.equal(there.labels)
    with np.load(tmp_path / "set.npz") as arrays:
        assert np.array_equal(arrays["images_normalised"], there.images.numpy())


OWN = ["--mean", "0.5", "--std", "0.5"]


def imported(runs: Path, out: Path, *more: str) -> Path:
    """The tensors of ``theirs``, imported by other units than ``theirs``, or the same."""
    units = ["--dataset", "digits", "--pixels", "normalised", *more]
    assert main(["import", str(runs / "res_DM_digits_ConvNet_1ipc.pt"), *units, "--out", str(out)]) == 0
    return out


def compared(out: Path, *words: str) -> Comparison:
    assert main(["compare", *words, *FEW, "--out", str(out)]) == 0
    return Comparison.read(out / Comparison.FILE)


def accuracies(record: Comparison, name: str) -> list[float] | None:
    (found,) = (each for each in record.sets if each.name == name)
    return found.networks[NETWORK].accuracies


@pytest.mark.parametrize("order", [("mine", "half"), ("half", "mine")])
def test_a_set_with_a_normalisation_of_its_own_is_measured_on_images_normalised_alike(
    order: tuple[str, str], runs: Path, tmp_path: Path
):
    half = imported(runs, tmp_path / "half", *OWN)
    assert main(["evaluate", str(half), *FEW, "--baselines", "none"]) == 0
    alone = json.loads((half / "evaluation.json").read_text())["networks"][NETWORK]["accuracies"]
    (half / "evaluation.json").unlink()
    place = {"mine": runs / "mine", "half": half}
    record = compared(tmp_path / "comparison", *(str(place[name]) for name in order))
    assert accuracies(record, "half") == alone
    recorded = json.loads((runs / "theirs" / "evaluation.json").read_text())
    assert alone != recorded["networks"][NETWORK]["accuracies"]  # the same numbers in other units


def test_a_teacher_is_not_shown_images_of_another_normalisation_than_its_own(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["import", str(runs / "res_DM_digits_ConvNet_1ipc.pt"), "--dataset", "digits", "--pixels", "normalised"]
    assert main([*words, *OWN, "--out", str(tmp_path / "plain")]) == 0
    assert main(["experts", "--dataset", "digits", "--count", "1", "--epochs", "1", "--network", NETWORK,
                 "--device", "cpu", "--executor", "here", "--out", str(tmp_path / "experts")]) == 0  # fmt: skip
    measured = ["--labels", "--teacher", str(tmp_path / "experts"), *FEW]
    assert main(["evaluate", str(tmp_path / "plain"), *measured]) == 2
    assert "this set is normalised differently" in capsys.readouterr().err
    assert main(["evaluate", str(runs / "theirs"), *measured, "--out", str(tmp_path / "labels.json")]) == 0


def test_what_was_measured_in_other_units_is_not_taken_for_a_set_of_the_same_numbers(runs: Path, tmp_path: Path):
    """Two files in one folder share its records."""
    names = []
    for name, units in (("own", []), ("half", OWN)):
        imported(runs, tmp_path / name, *units)
        names.append(str((tmp_path / name / "synthetic.safetensors").rename(tmp_path / f"{name}.safetensors")))
    record = compared(tmp_path / "comparison", *names, "--no-full")
    assert accuracies(record, "own.safetensors") != accuracies(record, "half.safetensors")


def test_random_images_and_the_full_data_are_normalised_as_the_dataset_is(runs: Path, tmp_path: Path):
    half, own = imported(runs, tmp_path / "half", *OWN), imported(runs, tmp_path / "own")
    first = compared(tmp_path / "one", str(half), "random", str(own))
    chosen = SyntheticSet.load(tmp_path / "random-digits-ipc1" / "synthetic.safetensors")
    assert (chosen.mean, chosen.std) == (digits().mean, digits().std)
    second = compared(tmp_path / "two", str(own), "random", str(half))
    for name in ("half", "own", "random-digits-ipc1"):
        assert accuracies(first, name) == accuracies(second, name)
    assert first.full[NETWORK].accuracies == second.full[NETWORK].accuracies


@pytest.mark.parametrize("order", [("white", "plain"), ("plain", "white")])
def test_whitened_and_plain_sets_are_not_compared(
    order: tuple[str, str], runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    units = ["--dataset", "digits", "--pixels", "whitened"]
    released = str(runs / "res_DM_digits_ConvNet_1ipc.pt")
    assert main(["import", released, *units, "--out", str(tmp_path / "white")]) == 0
    place = {"plain": runs / "theirs", "white": tmp_path / "white"}
    words = [str(place[name]) for name in order]
    assert main(["compare", *words, *FEW, "--no-full", "--out", str(tmp_path / "comparison")]) == 2
    said = capsys.readouterr().err
    assert "whitened, and the first set is" in said
    assert "compare whitened sets with whitened ones" in said


def test_where_an_imported_set_is_measured_is_printed_whole(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "a set"
    released, units = runs / "res_DM_digits_ConvNet_1ipc.pt", ["--dataset", "digits", "--pixels", "normalised"]
    assert main(["import", str(released), *units, "--data-root", str(tmp_path), "--out", str(out)]) == 0
    printed = capsys.readouterr().out.rpartition("measure it with: ")[2].strip()
    assert shlex.split(printed) == ["potstill", "evaluate", str(out), "--data-root", str(tmp_path)]
