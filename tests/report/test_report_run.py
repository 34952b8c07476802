from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_folder import change_record, entry, evaluation, make_run, write_record, write_set

from potstill.report import read_run
from potstill.runtime.errors import UserError


def test_a_run_is_read_whole(run_path: Path) -> None:
    run = read_run(run_path)
    assert run.manifest is not None
    assert run.manifest.method.name == "dm"
    assert run.manifest.dataset.shape == (1, 8, 8)
    assert run.manifest.dataset.train_bytes == 1437 * 64
    assert run.config["method"] == {"name": "dm", "learning_rate": 1.0}
    assert run.losses.iterations[:2] == (10, 20)
    assert len(run.losses.values) == 60
    assert run.validations.iterations[-1] == 600
    assert run.before is not None
    assert len(run.after) == len(run.before) == 20
    assert run.evaluation is not None
    convnet = run.evaluation.networks["convnet"]
    assert len(convnet.accuracies) == 5
    assert [len(row) for row in convnet.confusion] == [10] * 10
    assert run.evaluation.networks["resnet18"].failed == "the loss stopped being finite in epoch 12"
    assert set(run.evaluation.baselines) == {"random", "full"}


def test_start_and_evaluation_may_be_absent(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path, started=False))
    assert run.before is None
    assert run.evaluation is None


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is not the folder of a run: it has no synthetic\.safetensors"):
        read_run(tmp_path)
    with pytest.raises(UserError, match="nowhere does not exist; name a folder that potstill distill or import wrote"):
        read_run(tmp_path / "nowhere")


def test_a_run_without_an_end_is_continued_first(run_path: Path) -> None:
    (run_path / "manifest.json").unlink()
    with pytest.raises(UserError, match=r"was not finished; continue it: potstill distill --out .* --resume"):
        read_run(run_path)


def test_a_reproduction_has_a_page_for_each_row(tmp_path: Path) -> None:
    (tmp_path / "reproduction.json").write_text("{}")
    with pytest.raises(UserError, match="is the folder of a reproduction, not of a run; name a folder"):
        read_run(tmp_path)
    row = make_run(tmp_path / "dm-ipc-1")
    with pytest.raises(UserError, match=f"not of a run; name the run of one of its rows, such as {row}$"):
        read_run(tmp_path)


@pytest.mark.parametrize("name", ["manifest.json", "config.toml", "evaluation.json", "synthetic.safetensors"])
def test_a_truncated_record_is_named(run_path: Path, name: str) -> None:
    content = (run_path / name).read_bytes()
    (run_path / name).write_bytes(content[: len(content) // 2].rstrip(b'"\n'))
    with pytest.raises(UserError, match=name):
        read_run(run_path)


def test_a_missing_set_is_named(run_path: Path) -> None:
    (run_path / "synthetic.safetensors").unlink()
    with pytest.raises(UserError, match=r"synthetic\.safetensors does not exist"):
        read_run(run_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", 2),
        ("seed", "zero"),
        ("seconds", None),
        ("status", "asleep"),
        ("method", "dm"),
        ("iterations", {"done": -1, "asked": 600}),
        ("dataset", {"name": "digits"}),
        ("dataset", {"name": "digits", "shape": [None, 8, 8]}),
    ],
)
def test_a_wrong_field_of_the_manifest_is_named(run_path: Path, field: str, value: Any) -> None:
    change_record(run_path / "manifest.json", **{field: value})
    with pytest.raises(UserError, match=rf"manifest\.json: {field}"):
        read_run(run_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("accuracies", []),
        ("accuracies", [88.1]),
        ("accuracies", "high"),
        ("mean", None),
        ("made_on", "here"),
        ("seconds", -1),
        ("confusion", [[1, 2], [3, 4]]),
        ("confusion", [[1, 2], [3]]),
        ("confusion", [[-1] * 10] * 10),
        ("curve", {"epochs": [1, 2], "loss": [0.5]}),
    ],
)
def test_a_wrong_field_of_an_entry_is_named(run_path: Path, field: str, value: Any) -> None:
    record = evaluation()
    record["networks"]["convnet"][field] = value
    write_record(run_path / "evaluation.json", record)
    with pytest.raises(UserError, match=rf"evaluation\.json: networks\.convnet\.(curve\.)?\w*{field[:4]}|curve\.\w+"):
        read_run(run_path)


def test_one_repeat_is_read_without_an_interval(run_path: Path) -> None:
    record = evaluation()
    record["networks"]["convnet"] = entry(0.9, repeats=1)
    write_record(run_path / "evaluation.json", record)
    run = read_run(run_path)
    assert run.evaluation is not None
    assert run.evaluation.networks["convnet"].interval is None


def test_a_baselines_confusion_must_fit_the_classes(run_path: Path) -> None:
    record = evaluation()
    record["baselines"]["random"]["convnet"]["confusion"] = [[1, 2], [3, 4]]
    write_record(run_path / "evaluation.json", record)
    with pytest.raises(UserError, match=r"baselines\.random\.convnet\.confusion is not a table of 10 × 10"):
        read_run(run_path)


def test_values_that_are_not_finite_are_left_out_of_a_trace(run_path: Path) -> None:
    with (run_path / "metrics.jsonl").open("a") as stream:
        stream.write(
            '{"event": "step", "iteration": 610, "loss": NaN}\n{"event": "step", "iteration": 620, "loss": 0.5}\n'
        )
    assert read_run(run_path).losses.iterations[-2:] == (600, 620)


def test_a_loss_that_is_no_number_is_named_with_its_line(run_path: Path) -> None:
    (run_path / "metrics.jsonl").write_text('{"event": "start"}\n{"event": "step", "iteration": 1, "loss": "low"}\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl: line 2\.loss is not a number"):
        read_run(run_path)


def test_an_event_that_is_no_object_is_named_with_its_line(run_path: Path) -> None:
    (run_path / "metrics.jsonl").write_text('{"event": "start"}\n[1, 2]\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl, line 2 is damaged: it is not an object"):
        read_run(run_path)


def test_files_of_different_runs_are_refused(run_path: Path) -> None:
    other = np.zeros((20, 1, 9, 9), dtype=np.float32)
    labels = np.repeat(np.arange(10), 2)
    write_set(run_path / "checkpoint" / "start.safetensors", other, labels, "0123456789")
    with pytest.raises(UserError, match=r"start\.safetensors has other images"):
        read_run(run_path)
    write_set(run_path / "synthetic.safetensors", other, labels, "0123456789")
    with pytest.raises(UserError, match=r"does not fit .*manifest\.json"):
        read_run(run_path)


def test_the_network_spoken_of_first_is_the_matched_one(run_path: Path) -> None:
    record = evaluation()
    record["networks"] = {"resnet18": record["networks"]["resnet18"], "alexnet": entry(0.5), "convnet": entry(0.4)}
    write_record(run_path / "evaluation.json", record)
    for matched, headline in (("convnet", "convnet"), ("resnet18", "alexnet"), ("vgg11", "alexnet")):
        (run_path / "config.toml").write_text(f'network = "{matched}"\n')
        assert read_run(run_path).headline == headline


@pytest.mark.slow
def test_the_report_needs_no_torch_and_imports_matplotlib_late(run_path: Path) -> None:
    program = (
        "import sys, json, pathlib, potstill.report as report; early = 'matplotlib' in sys.modules; "
        "report.write_report(pathlib.Path(sys.argv[1])); print(json.dumps([early, 'torch' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program, run_path], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [False, False]


def test_losses_too_large_to_draw_are_left_out(run_path: Path) -> None:
    with (run_path / "metrics.jsonl").open("a") as stream:
        stream.write(
            '{"event": "step", "iteration": 601, "loss": 1e308}\n{"event": "step", "iteration": 602, "loss": NaN}\n'
        )
    run = read_run(run_path)
    assert max(run.losses.values) < 1e300
    assert run.losses.iterations[-1] == 600
