"""Evaluations on file: resumed, put aside, never mixed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from potstill.evaluation import RECIPES, Evaluation, NetworkResult
from potstill.evaluation.file import EvaluationFile
from potstill.runtime.errors import UserError
from potstill.runtime.files import sha256
from potstill.schema.fields import with_old_names


def result(*accuracies: float) -> NetworkResult:
    return NetworkResult(
        accuracies=list(accuracies),
        seconds=1.5 * len(accuracies),
        curve_epochs=[1, 2],
        curve_loss=[0.1 + 0.2, 0.1],
        curve_accuracy=[0.5, 0.7],
        confusion=[[len(accuracies), 0], [1, 2]],
        epochs=2,
        made_on=["this machine"],
    )


def evaluation(**changes: Any) -> Evaluation:
    given = {"recipe": RECIPES["quick"], "seed": 0, "set_sha256": "a", "dataset_fingerprint": "d", "full_epochs": 20}
    given["initial"] = {"source": "random", "seed": 0}
    made = Evaluation(**given | changes)
    made.networks["convnet"] = result(0.8, 0.9)
    made.networks["mlp"] = NetworkResult(failed="mlp diverged")
    made.baselines["random"] = {"convnet": result(0.7)}
    return made


OTHER_PROTOCOLS = [
    {"recipe": RECIPES["dc-300"]},
    {"recipe": replace(RECIPES["quick"], version=2)},
    {"seed": 1},
    {"dataset_fingerprint": "e"},
    {"initial": {"source": "fixed", "seed": 0}},
]


def test_a_record_is_read_back_to_the_bit(tmp_path: Path):
    file = EvaluationFile(tmp_path / "evaluation.json")
    file.save(evaluation())
    assert file.earlier(evaluation()) == evaluation()


def test_a_baseline_that_was_stopped_before_its_first_training_is_not_on_record(tmp_path: Path):
    file, stopped = EvaluationFile(tmp_path / "evaluation.json"), evaluation()
    stopped.baselines["full"] = {}
    file.save(stopped)
    assert file.earlier(stopped) == evaluation()


def test_nothing_is_found_where_nothing_was_measured(tmp_path: Path):
    assert EvaluationFile(str(tmp_path / "evaluation.json")).earlier(evaluation()) is None


@pytest.mark.parametrize("changes", OTHER_PROTOCOLS)
def test_figures_of_another_protocol_are_put_aside_until_they_are_asked_for(changes: dict[str, Any], tmp_path: Path):
    file, other = EvaluationFile(tmp_path / "evaluation.json"), evaluation(**changes)
    other.networks["convnet"] = result(0.1)
    file.save(evaluation())
    assert file.earlier(other) is None
    file.save(other)
    assert file.earlier(other) == other
    assert file.earlier(evaluation()) == evaluation()
    assert len(list(tmp_path.iterdir())) == 2
    file.save(evaluation())
    assert file.earlier(other) == other
    assert len(list(tmp_path.iterdir())) == 2


def test_what_does_not_lead_stays_aside(tmp_path: Path):
    file, other = EvaluationFile(tmp_path / "evaluation.json"), evaluation(seed=1)
    aside = EvaluationFile(tmp_path / "evaluation.json", leading=False)
    file.save(evaluation())
    aside.save(other)
    assert aside.earlier(other) == other
    assert json.loads(file.path.read_text())["seed"] == 0
    aside.save(evaluation())
    assert json.loads(file.path.read_text())["seed"] == 0
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("leading", [True, False])
def test_figures_of_another_set_are_put_aside(leading: bool, tmp_path: Path):
    file = EvaluationFile(tmp_path / "evaluation.json", leading=leading)
    later = evaluation(set_sha256="b")
    file.save(evaluation())
    file.save(later)
    assert json.loads(file.path.read_text())["set_sha256"] == "b"
    assert file.earlier(evaluation()) == evaluation()
    assert file.earlier(later) == later


@pytest.mark.parametrize("content", ["{}", "[]", "3", '{"recipe": {}, "networks": 3}', "{"])
def test_a_damaged_record_is_named_and_kept(content: str, tmp_path: Path):
    path = tmp_path / "evaluation.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"evaluation\.json"):
        EvaluationFile(path).earlier(evaluation())
    assert path.read_text() == content


def test_confusions_of_many_classes_are_written_without_zeros_and_read_back(tmp_path: Path):
    counts = [[0] * 150 for _ in range(150)]
    counts[3][3], counts[149][0] = 7, 2
    measured = replace(evaluation(), networks={"mlp": replace(result(0.5), confusion=counts)})
    measured.write(tmp_path / "evaluation.json")
    written = json.loads((tmp_path / "evaluation.json").read_text())["networks"]["mlp"]["confusion"]
    assert written == {"classes": 150, "counts": [[3, 3, 7], [149, 0, 2]]}
    assert Evaluation.read(tmp_path / "evaluation.json") == measured


@pytest.mark.parametrize(
    "confusion",
    [{"classes": 150, "counts": [[150, 0, 1]]}, {"classes": 10**9, "counts": []}, {"classes": 150}, [[1], [2]]],
)
def test_impossible_confusions_are_refused(confusion: object, tmp_path: Path):
    path = tmp_path / "evaluation.json"
    replace(evaluation(), networks={"mlp": result(0.5)}).write(path)
    record = json.loads(path.read_text())
    record["networks"]["mlp"]["confusion"] = confusion
    path.write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"networks\.mlp\.confusion"):
        Evaluation.read(path)


def test_repeats_join_whatever_the_parts():
    singles = [result(accuracy) for accuracy in (0.8, 0.9, 0.4)]
    one_by_one = NetworkResult()
    for single in singles:
        one_by_one = one_by_one.joined(single)
    assert one_by_one.accuracies == [0.8, 0.9, 0.4]
    assert one_by_one.seconds == 4.5
    assert one_by_one.confusion == [[3, 0], [3, 6]]
    assert one_by_one.made_on == ["this machine"]
    assert one_by_one.curve_loss == pytest.approx([0.3, 0.1])


def test_repeats_without_confusions_join_to_one_without():
    assert result(0.8).joined(replace(result(0.9), confusion=[])).confusion == []


def test_curves_are_means_over_repeats():
    low, high = (replace(result(0.5), curve_loss=[v, v], curve_accuracy=[v, v]) for v in (0.0, 3.0))
    assert low.joined(low).joined(high).curve_loss == pytest.approx([1.0, 1.0])


def test_machines_are_named_once_each():
    here, there = result(0.5), replace(result(0.6), made_on=["another"])
    assert here.joined(there).joined(here).made_on == ["this machine", "another"]


def test_a_file_that_somebody_named_is_left_alone(tmp_path: Path):
    EvaluationFile(tmp_path / "evaluation-gpu-second.json").save(evaluation())
    (tmp_path / "evaluation-quick@1-abcdef.json").write_text('{"schema": 1}')
    file = EvaluationFile(tmp_path / "evaluation.json")
    file.save(evaluation(seed=1))
    file.save(evaluation())
    assert file.earlier(evaluation(seed=1)) is not None
    assert (tmp_path / "evaluation-gpu-second.json").exists()


def test_what_an_older_version_put_aside_is_found_and_taken_up(tmp_path: Path):
    file, old = EvaluationFile(tmp_path / "evaluation.json"), evaluation()
    protocol = {**old.protocol, "recipe": with_old_names("recipe", old.protocol["recipe"])}
    name = f"evaluation-quick@1-{sha256(json.dumps(protocol, sort_keys=True).encode())[:6]}.json"
    (tmp_path / name).write_text(json.dumps({**old.to_json(), "recipe": protocol["recipe"]}))
    assert file.earlier(old) == old
    file.save(old)
    assert [path.name for path in tmp_path.iterdir()] == ["evaluation.json"]
