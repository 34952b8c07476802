"""Sets side by side: one recipe for all, paired differences, and a page."""

from __future__ import annotations

import importlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from potstill.applications import comparison as comparing
from potstill.applications.comparison import _reached, compare
from potstill.cli.main import main
from potstill.data import load_dataset
from potstill.distillation.driver import distill
from potstill.distillation.settings import Settings
from potstill.engine.trainer import Trainer
from potstill.evaluation import RECIPES, Evaluation, NetworkResult, evaluate, target
from potstill.methods import DD, DM, METHODS, Random
from potstill.report.comparison_images import compared_images
from potstill.runtime.compute import CPU
from potstill.runtime.errors import UserError
from potstill.schema.comparison import Comparison
from potstill.schema.statistics import paired_difference
from potstill.synthetic import SyntheticSet
from tests.small import CPU64, NETWORK, on_cpu

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_epochs")]

RECIPE = "coursework-50"
evaluating = importlib.import_module("potstill.evaluation.session")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs: a short distillation, and random images."""
    folder = tmp_path_factory.mktemp("runs")
    digits = load_dataset("digits", cache=None)
    made = Settings(method=DM(batch_real=16), ipc=1, network=NETWORK, iterations=60, validate_every=0)
    distill(made, digits, out=folder / "dm")
    distill(replace(made, method=Random(), iterations=0), digits, out=folder / "random")
    return folder


def compared(runs: Path, out: Path, *names: str, **options: Any) -> dict[str, Any]:
    given = {"recipe": RECIPE, "repeats": 3, "full": False} | options
    return compare([runs / "dm", *(names or (runs / "random",))], str(out), **given).to_json()


def test_every_set_is_measured_by_one_recipe_and_pairs_are_compared(runs: Path, tmp_path: Path):
    record = compared(runs, tmp_path, full=True)
    assert json.loads((tmp_path / Comparison.FILE).read_text()) == record
    assert [item["name"] for item in record["sets"]] == ["dm", "random"]
    assert record["recipe"]["name"] == RECIPE
    assert record["networks"] == [NETWORK]
    accuracies = [item["networks"][NETWORK]["accuracies"] for item in record["sets"]]
    assert [len(values) for values in accuracies] == [3, 3]
    assert len(record["full"][NETWORK]["accuracies"]) == 1
    (difference,) = record["differences"]
    expected = paired_difference(*accuracies)
    assert expected is not None
    assert (difference["first"], difference["second"]) == ("dm", "random")
    assert difference["mean"] == pytest.approx(expected.mean)
    assert difference["p"] == difference["p_corrected"] == pytest.approx(expected.p)
    reached = record["reached"][NETWORK]
    assert 0 < reached["accuracy"] < 1
    assert set(reached["seconds"]) == {"dm", "random"}
    for item in record["sets"]:
        assert item["bytes"] == SyntheticSet.load(runs / item["name"] / "synthetic.safetensors").size_bytes
        assert item["labels"] == "hard"
    images = compared_images(Comparison.read(tmp_path / Comparison.FILE), tmp_path)
    assert images is not None
    assert [strip.name for strip in images.strips] == ["dm", "random"]


def test_all_sets_are_measured_in_one_precision(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settled: list[Any] = []
    measured = comparing.evaluate

    def listening(*given: Any, **named: Any) -> Evaluation:
        settled.append(given[1].compute)
        return measured(*given, **named)

    monkeypatch.setattr(comparing, "evaluate", listening)
    monkeypatch.setattr(evaluating, "LONG_WORK_PIXELS", 300_000)  # the full data alone is as much
    monkeypatch.setattr(evaluating, "settled", lambda choice, *, long_run: CPU64 if long_run else CPU)
    folder = tmp_path / "runs"
    shutil.copytree(runs, folder, ignore=shutil.ignore_patterns("evaluation*"))
    record = compare([str(folder / "dm"), str(folder / "random")], tmp_path / "out", recipe=RECIPE, repeats=2).to_json()
    assert settled == [CPU64, CPU64]
    assert len(record["made_on"]) == 1
    assert record["made_on"][0].startswith("cpu, float64")


def test_a_dataset_that_has_changed_is_told_unless_it_was_asked_for(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    load = target.load_dataset
    monkeypatch.setattr(
        target, "load_dataset", lambda *given, **named: replace(load(*given, **named), fingerprint="other")
    )
    with pytest.raises(UserError, match="dm: dataset 'digits' has changed"):
        compared(runs, tmp_path)
    compared(runs, tmp_path, dataset="digits", repeats=2)


def test_what_is_on_file_is_not_measured_again(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = compared(runs, tmp_path / "one")
    fit, trainings = Trainer.fit, 0

    def counted(*given: Any, **named: Any) -> None:
        nonlocal trainings
        trainings += 1
        fit(*given, **named)

    monkeypatch.setattr(Trainer, "fit", counted)
    assert compared(runs, tmp_path / "two")["differences"] == first["differences"]
    assert trainings == 0
    more = compared(runs, tmp_path / "three", repeats=4)
    assert trainings == 2
    assert len(more["sets"][0]["networks"][NETWORK]["accuracies"]) == 4


def test_a_selections_name_stands_for_a_run_of_it(runs: Path, tmp_path: Path):
    record = compared(runs, tmp_path, "average", "k-means", repeats=2)
    assert [item["name"] for item in record["sets"]] == ["dm", "average-digits-ipc1", "k-means-digits-ipc1"]
    assert [item["method"] for item in record["sets"]] == ["dm", "average", "k-means"]
    assert (runs / "average-digits-ipc1" / "synthetic.safetensors").exists()
    assert len(record["differences"]) == 3
    assert all(item["p_corrected"] >= item["p"] for item in record["differences"])
    manifest = runs / "average-digits-ipc1" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"complete"', '"interrupted"'))
    again = compared(runs, tmp_path / "again", "average", "k-means", repeats=2)
    assert [item["status"] for item in again["sets"]] == ["complete"] * 3, "what was interrupted is finished first"


def test_the_first_runs_evaluation_decides_what_is_left_open(runs: Path, tmp_path: Path):
    digits = load_dataset("digits", cache=None)
    evaluate(
        SyntheticSet.load(runs / "dm" / "synthetic.safetensors"),
        on_cpu(digits),
        recipe="dc-300",
        networks=["mlp:width=8"],
        repeats=1,
        baselines=(),
        record=runs / "dm" / "evaluation.json",
    )
    record = compared(runs, tmp_path, recipe=None, repeats=1)
    assert record["recipe"]["name"] == "dc-300"
    assert record["networks"] == ["mlp:width=8"]
    assert record["differences"] == [], "one repeat each shows nothing"


def test_a_run_that_a_selections_name_would_stand_for_must_fit(runs: Path, tmp_path: Path):
    digits = load_dataset("digits", cache=None)
    distill(
        Settings(method=METHODS["herding"](), ipc=1, network="mlp:width=8"),
        digits,
        out=runs / "herding-digits-ipc1",
    )
    with pytest.raises(
        UserError, match=r"herding-digits-ipc1 does not match the first run: `network` \(mlp:width=8 there, .* here\)"
    ):
        compared(runs, tmp_path, "herding")


def test_pixels_are_the_same_whatever_network_the_first_was_matched_with(runs: Path, tmp_path: Path):
    digits = load_dataset("digits", cache=None)
    distill(
        Settings(method=METHODS["average"](), ipc=2, network="mlp:width=8"), digits, out=runs / "average-digits-ipc2"
    )
    made = Settings(method=DM(batch_real=16), ipc=2, network=NETWORK, iterations=2, validate_every=0)
    distill(made, digits, out=runs / "two")
    record = compare(
        [str(runs / "two"), "average"], tmp_path, recipe=RECIPE, networks=[NETWORK], repeats=1, full=False
    ).to_json()
    assert record["sets"][1]["name"] == "average-digits-ipc2"


def test_another_copy_of_the_dataset_serves_as_well(runs: Path, tmp_path: Path):
    digits = load_dataset("digits", cache=None)
    parts = {"train": digits.train, "val": digits.validation, "test": digits.test}
    arrays: dict[str, Any] = {f"{name}_images": part.images[:, 0].numpy() for name, part in parts.items()}
    arrays |= {f"{name}_labels": part.labels[:, None].numpy() for name, part in parts.items()}
    np.savez(tmp_path / "copy.npz", **arrays)
    given = [
        compared(runs, tmp_path, repeats=1, networks=[NETWORK], dataset=place)
        for place in (None, str(tmp_path / "copy.npz"))
    ]
    first, second = ([item["networks"][NETWORK]["accuracies"][:1] for item in record["sets"]] for record in given)
    assert first == second


def test_weights_that_learned_steps_are_for_are_not_those_of_a_comparison(runs: Path, tmp_path: Path):
    digits = load_dataset("digits", cache=None)
    steps = Settings(method=DD(passes=1, initial="fixed", batch_real=16), ipc=1, network=NETWORK, iterations=2)
    made = distill(steps, digits, out=tmp_path / "steps")
    evaluate(
        made.synthetic,
        on_cpu(digits),
        networks=[NETWORK],
        repeats=1,
        baselines=(),
        record=tmp_path / "steps" / "evaluation.json",
    )
    record = compare(
        [str(tmp_path / "steps"), str(runs / "random")], tmp_path, recipe=RECIPE, repeats=2, full=False
    ).to_json()
    assert record["initial"]["source"] == "random"
    assert len(record["sets"][0]["networks"][NETWORK]["accuracies"]) == 2, "each from a draw of its own"


def test_a_run_that_was_killed_after_it_went_on_is_told(runs: Path, tmp_path: Path):
    killed = tmp_path / "killed"
    shutil.copytree(runs / "random", killed)
    SyntheticSet.load(runs / "dm" / "synthetic.safetensors").save(killed / "synthetic.safetensors")
    with pytest.raises(UserError, match="killed before its manifest was updated; continue it"):
        compared(runs, tmp_path, str(killed))


def test_a_mistake_about_one_set_is_told_before_any_is_measured(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Trainer, "fit", lambda *given, **named: pytest.fail("trained"))
    with pytest.raises(UserError, match="dm: the set has no learned steps"):
        compared(runs, tmp_path, recipe="replay")
    killed = tmp_path / "killed"
    shutil.copytree(runs / "random", killed)
    (killed / "manifest.json").unlink()
    with pytest.raises(UserError, match="killed was not finished"):
        compared(runs, tmp_path, str(killed))


def test_a_comparison_leaves_the_runs_own_evaluations_in_their_place(runs: Path, tmp_path: Path):
    path = runs / "dm" / "evaluation.json"
    compared(runs, tmp_path, recipe="coursework-50", repeats=1)
    before = json.loads(path.read_text())["recipe"]["name"]
    other = next(name for name in ("quick", "coursework-50") if name != before)
    compared(runs, tmp_path, recipe=other, repeats=1)
    assert json.loads(path.read_text())["recipe"]["name"] == before
    assert list(path.parent.glob(f"evaluation-{other}@1-*.json"))


def test_a_set_without_a_run_is_compared_by_what_it_records(runs: Path, tmp_path: Path):
    made = SyntheticSet.load(runs / "dm" / "synthetic.safetensors")
    (tmp_path / "sets").mkdir()
    for name, images in (("one", made.images), ("two", made.images.flip(3))):
        replace(made, images=images).save(tmp_path / "sets" / f"{name}.safetensors")
    sets = [str(tmp_path / "sets" / f"{name}.safetensors") for name in ("one", "two")]
    record = compare([*sets, "random"], tmp_path / "out", recipe=RECIPE, repeats=2, full=False)
    assert [item.name for item in record.sets] == ["one.safetensors", "two.safetensors", "random-digits-ipc1"]
    assert (tmp_path / "sets" / "random-digits-ipc1" / "manifest.json").exists(), "beside the first set"
    first, _, chosen = record.sets
    assert (first.method, first.status, first.distilled_seconds, first.peak_memory_bytes) == ("dm", None, None, None)
    assert chosen.status == "complete"
    assert record.networks == [NETWORK], "the network that was matched"
    assert Comparison.read(tmp_path / "out" / Comparison.FILE) == record
    images = compared_images(record, tmp_path / "out")
    assert images is not None
    assert [strip.name for strip in images.strips] == [item.name for item in record.sets]


def test_the_evaluation_of_a_neighbouring_file_decides_nothing(runs: Path, tmp_path: Path):
    digits, made = load_dataset("digits", cache=None), SyntheticSet.load(runs / "dm" / "synthetic.safetensors")
    made.save(tmp_path / "one.safetensors")
    replace(made, images=made.images.flip(3)).save(tmp_path / "two.safetensors")
    record = tmp_path / Evaluation.FILE
    evaluate(made, on_cpu(digits), recipe="dc-300", networks=["mlp:width=8"], repeats=1, baselines=(), record=record)
    sets = [tmp_path / "two.safetensors", tmp_path / "one.safetensors"]
    assert compare(sets, tmp_path / "out", recipe=RECIPE, repeats=1, full=False).networks == [NETWORK]


@pytest.mark.parametrize("top", [0.8, 0.7999999999999999, 1.0, 0.0])
def test_what_all_reach_is_reached_by_all(top: float):
    result = NetworkResult(accuracies=[top], seconds=1.0, curve_epochs=[1], curve_accuracy=[top], epochs=1)
    evaluation = Evaluation(
        recipe=RECIPES["quick"],
        seed=0,
        set_sha256="",
        dataset_fingerprint="",
        full_epochs=1,
        initial={},
        networks={"n": result},
    )
    contender: Any = SimpleNamespace(name="a", result=evaluation.networks.__getitem__)
    reached = _reached([contender], "n")
    assert reached.accuracy is not None
    assert reached.accuracy <= top < reached.accuracy + 0.01
    assert reached.seconds == {"a": 1.0}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "there is nothing to compare"),
        (["absent"], "absent does not exist; name the folder of a run, or the file of a set"),
        (["dm"], "a run is named twice"),
    ],
)
def test_what_cannot_be_compared_is_refused(names: list[str], message: str, runs: Path, tmp_path: Path):
    words = [str(runs / "dm"), *(str(runs / name) for name in names)]
    with pytest.raises(UserError, match=message):
        compare(words, tmp_path, recipe=RECIPE, repeats=1, full=False)


def test_sets_of_another_size_are_refused_by_name(runs: Path, tmp_path: Path):
    distill(
        Settings(method=Random(), ipc=1, image_size=6, network="mlp"),
        load_dataset("digits", cache=None, image_size=6),
        out=tmp_path / "smaller",
    )
    with pytest.raises(UserError, match=r"smaller: the set does not fit .*image shape"):
        compare([str(runs / "dm"), str(tmp_path / "smaller")], tmp_path, recipe=RECIPE, repeats=1, full=False)


def test_the_command_prints_a_table_and_writes_the_page(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["compare", str(runs / "dm"), str(runs / "random"), "--recipe", RECIPE, "--repeats", "3", "--no-full"]
    assert main([*words, "--networks", NETWORK, "--out", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "of 1 differences are significant" in told
    page = (tmp_path / "comparison.html").read_text()
    assert "2 sets of digits side by side" in page
    assert main(["compare", str(runs / "dm")]) == 2
    assert "nothing to compare" in capsys.readouterr().err
