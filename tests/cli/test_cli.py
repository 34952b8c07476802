"""The command line: what it does, and that every mistake is one line on stderr and exit code 2."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from potstill.cli import main
from potstill.cli.options import duration, size
from potstill.cli.output import table_console
from potstill.data import load_dataset
from potstill.data.images_on_disk import StoredImages
from potstill.distillation import Settings
from potstill.methods import DM, IDC
from potstill.runtime.errors import UserError
from potstill.synthetic import SyntheticSet
from tests.forks import forked

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_epochs")]

TINY = ["--ipc", "1", "--network", "convnet:depth=2:width=8", "--batch-real", "16", "--iterations", "2"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cli") / "run"
    assert main(["distill", "dm", *TINY, "--out", str(out)]) == 0
    return out


def complaint(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a mistake gets."""
    capsys.readouterr()
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("potstill: ")
    return line


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["distil"], ["unknown command 'distil'", "'distill'"]),
        (["distill"], ["no method is named", "datadam"]),
        (["distill", "--ipc", "1", "dm"], ["'dm' must come first", "potstill distill dm"]),
        (["distill", "--resume", "--out", "absent"], ["no run to resume in absent", "--out"]),
        (["distill", "dm", "--batch-real", "0"], ["--batch-real 0 is too small", "1 or more"]),
        (["distill", "dm", "--learning-rate", "nan"], ["--learning-rate nan is not a finite number; use 0 or more"]),
        (["distill", "datadam", "--network-iterations", "0"], ["--network-iterations 0 is too small"]),
        (["distill", "dd", "--decay-every", "0"], ["--decay-every 0 is too small"]),
        (["distill", "ld", "--batch-real", "0"], ["--batch-real 0 is too small"]),
        (["distill", "dc", "--network-batch", "0"], ["--network-batch 0 is too small"]),
        (["distill", "mtt", "--initial-rate", "-0.1"], ["--initial-rate -0.1 is not positive", "use a value above 0"]),
        (["distill", "dd", "--initial-rate", "nan"], ["--initial-rate nan is not a finite number"]),
        (["distill", "datadam", "--network-steps", "5"], ["--network-steps 5 has no effect", "--network-iterations 2"]),
        (
            ["distill", "datm", "--earliest-start", "9", "--latest-start", "9"],
            ["--earliest-start 9 is not below --latest-start 9"],
        ),
        (
            ["experts", "--epochs", "1", "--scores", "forgetting"],
            ["forgetting scores need at least two epochs", "--epochs 2"],
        ),
        (["distill", "mtt", "--student-steps", "0"], ["--student-steps 0 is too small"]),
        (["distill", "mtt", "--out", "new"], ["--experts is not given", "potstill experts"]),
        (["distill", "datm", "--start", "noise"], ["datm chooses the images that it starts from", "leave --start out"]),
        (["distill", "optimised-random", "--tries", "0"], ["--tries 0 is too small"]),
        (["distill", "el2n", "--teacher-epochs", "0"], ["--teacher-epochs 0 is too small"]),
        (["experts", "--batch-size", "0"], ["--batch-size 0 is too small"]),
        (["experts", "--learning-rate", "-1"], ["--learning-rate -1.0 is too small"]),
        (["experts", "--scores", "el2m"], ["unknown score 'el2m'", "'el2n'"]),
        (["experts", "--scores", "el2n", "--last-only"], ["--last-only keeps only the last"]),
        (["reproduce", "datadam-coursework-mhist"], ["own copy of the images", "--dataset mhist:FOLDER"]),
        (["reproduce", "dd-mnist", "--rows", "fixed"], ["no row 'fixed'", "fixed 10 images"]),
        (["distill", "datdam"], ["unknown method 'datdam'", "'datadam'", "potstill list methods"]),
        (["distill", "dm", "--dataset", "mnst"], ["unknown dataset 'mnst'", "'mnist'"]),
        (["distill", "dm", "--network", "convent"], ["unknown network 'convent'", "'convnet'"]),
        (["distill", "dm", "--network", "convnet:depht=3"], ["no option 'depht'", "depth"]),
        (["distill", "dm", "--ipc", "0"], ["--ipc 0 is too small", "use --ipc 1 or more"]),
        (["distill", "dm", "--ipc", "500"], ["fewer than 500 per class", "--start noise"]),
        (["distill", "dm", "--ipc", "many"], ["--ipc takes a whole number, not 'many'", "--help"]),
        (["distill", "dd", "--batches", "many"], ["--batches takes a whole number, not 'many'"]),
        (["distill", "dm", "--learning-rate", "big"], ["--learning-rate takes a number, not 'big'"]),
        (["distill", "dm", "--start", "reel"], ["--start takes aum, average", "or real, not 'reel'"]),
        (
            ["distill", "dm", "--precision", "half"],
            ["--precision takes auto, bfloat16, float32 or float64, not 'half'"],
        ),
        (["distill", "dm", "--ipc"], ["--ipc needs a value"]),
        (["distill", "dm", "--ipcc", "3"], ["--ipcc", "--ipc"]),
        (["distill", "dm", "--time-limit", "soon"], ["'soon' is not a duration", "10m"]),
        (["distill", "dm", "--device", "abacus"], ["device 'abacus'", "--device cpu"]),
        (["distill", "dm", "--device", "meta"], ["device 'meta'", "--device cpu"]),
        (["distill", "dm", "--iterations", "-1"], ["--iterations -1 is too small"]),
        (["distill", "dm", "--config", "absent.toml"], ["absent.toml", "check the path"]),
        (["evaluate", "absent"], ["absent does not exist"]),
        (["report", "absent"], ["absent"]),
        (["list", "cats"], ["'cats' is not datasets, methods, networks, recipes or reproductions"]),
        (["cite", "nobody"], ["unknown method 'nobody'"]),
        (["cite"], ["no method is named", "see potstill list methods"]),
    ],
)
def test_a_mistake_gets_one_line_with_its_remedy(
    words: list[str],
    parts: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    line = complaint(words, capsys)
    for part in parts:
        assert part in line
    assert not list(tmp_path.iterdir()), "nothing may be written for a mistake"


def test_an_existing_run_is_not_touched(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (run / "synthetic.safetensors").read_bytes()
    line = complaint(["distill", "dm", *TINY, "--out", str(run)], capsys)
    assert "already exists" in line
    assert "--resume" in line
    assert (run / "synthetic.safetensors").read_bytes() == before


def test_a_config_repeats_the_run(run: Path, tmp_path: Path) -> None:
    assert main(["distill", "--config", str(run / "config.toml"), "--out", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again/synthetic.safetensors").read_bytes() == (run / "synthetic.safetensors").read_bytes()


def test_options_go_before_the_config(run: Path, tmp_path: Path) -> None:
    words = ["distill", "--config", str(run / "config.toml"), "--seed", "5", "--out", str(tmp_path / "other")]
    assert main(words) == 0
    assert SyntheticSet.load(tmp_path / "other/synthetic.safetensors").provenance["seed"] == 5


def test_what_a_config_keeps_is_said_if_the_options_change_its_default(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["distill", "--config", str(run / "config.toml"), "--optimiser", "adam"]
    assert main([*words, "--out", str(tmp_path / "kept")]) == 0
    said = "--learning-rate stays 1, as in "
    assert f"{said}{run / 'config.toml'}; with the options given its default is 0.05" in capsys.readouterr().err
    assert main([*words, "--learning-rate", "0.05", "--out", str(tmp_path / "given")]) == 0
    assert said not in capsys.readouterr().err


def test_what_a_config_keeps_may_be_a_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "config.toml"
    settings = Settings(method=IDC().resolved(1, "mnist"), ipc=1, dataset="mnist")
    config.write_text(settings.to_toml())
    words = ["distill", "--config", str(config), "--dataset", "digits", "--ipc", "10", "--network", "nothing"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert f"--distance stays l1, as in {config}; with the options given its default is mse" in said
    assert "--learning-rate stays 0.0001, as in " in said


def test_resuming_a_complete_run_changes_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (run / "synthetic.safetensors").read_bytes()
    assert main(["distill", "dm", "--resume", "--out", str(run)]) == 0
    assert main(["distill", "--resume", "--out", str(run)]) == 0
    assert (run / "synthetic.safetensors").read_bytes() == before


def test_resuming_with_other_settings_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    resume = ["distill", "dm", "--resume", "--out", str(run)]
    both = "other settings: --iterations (2 there, 9 here), --batch-real (16 there, 9 here)"
    assert "other settings: --seed (0 there, 3 here); resume it" in complaint([*resume, "--seed", "3"], capsys)
    assert "--batch-real (16 there, 256 here)" in complaint([*resume, "--batch-real", "256"], capsys), (
        "though that is the default"
    )
    assert both in complaint([*resume, "--iterations", "9", "--batch-real", "9"], capsys)


def test_resuming_in_the_usual_folder_is_no_different(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["distill", "random", "--ipc", "1"]
    assert main([*words, "--network", "mlp:width=8"]) == 0
    assert "--network (mlp:width=8 there, convnet here)" in complaint(
        [*words, "--network", "convnet", "--resume"], capsys
    )
    assert main([*words, "--resume"]) == 0


def test_initial_weights_that_are_absent_leave_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["distill", "dd", "--initial", str(tmp_path / "nowhere"), "--ipc", "1", "--network", "mlp:width=8"]
    assert "nowhere" in complaint([*words, "--iterations", "2", "--out", str(tmp_path / "run")], capsys)
    assert not (tmp_path / "run").exists()


def test_experts_go_on_in_their_own_precision(tmp_path: Path) -> None:
    words = ["experts", "--network", "mlp:width=8", "--epochs", "1", "--out", str(tmp_path / "experts")]
    assert main([*words, "--count", "1", "--precision", "float64"]) == 0
    assert main(["experts", "--resume", "--count", "2", "--out", str(tmp_path / "experts")]) == 0
    record = json.loads((tmp_path / "experts" / "experts.json").read_text())
    assert [expert["compute"] for expert in record["experts"]] == ["cpu, float64, not compiled"] * 2


def test_a_run_whose_experts_have_changed_is_not_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experts, run = tmp_path / "experts", tmp_path / "run"
    made = ["experts", "--network", "mlp:width=8", "--epochs", "2", "--out", str(experts)]
    assert main([*made, "--count", "1"]) == 0
    words = ["distill", "mtt", "--ipc", "1", "--network", "mlp:width=8", "--experts", str(experts)]
    words += ["--student-steps", "2", "--expert-epochs", "1", "--latest-start", "1", "--iterations", "3"]
    assert main([*words, "--time-limit", "0.001s", "--out", str(run)]) == 0
    assert main([*made, "--resume", "--count", "2"]) == 0
    assert "the weights that" in complaint(["distill", "--resume", "--out", str(run)], capsys)
    (experts / "expert-0001.safetensors").unlink()
    assert main(["distill", "--resume", "--out", str(run)]) == 0


def test_evaluate_writes_the_record_and_prints_the_table(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    words = ["evaluate", str(run), "--recipe", "quick", "--repeats", "2", "--baselines", "random"]
    assert main(words) == 0
    record = json.loads((run / "evaluation.json").read_text())
    (network,) = record["networks"]
    assert network == "convnet:depth=2:width=8"
    assert len(record["networks"][network]["accuracies"]) == 2
    assert f"{record['networks'][network]['mean']:.1%}" in capsys.readouterr().out
    assert main([*words[:2], "--networks", "mlp:width=8", *words[2:]]) == 0
    both = json.loads((run / "evaluation.json").read_text())
    assert list(both["networks"]) == [network, "mlp:width=8"], "the same protocol adds to the record"
    assert both["networks"][network] == record["networks"][network]


def test_evaluate_says_how_many_real_images_a_set_is_worth(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(run), "--networks", "mlp:width=8", "--recipe", "coursework-50", "--repeats", "1"]
    words += ["--baselines", "none", "--exchange", "--out"]
    for out, record in (("evaluation-a.json", "exchange-a.json"), ("b.json", "exchange-b.json")):
        capsys.readouterr()
        assert main([*words, str(tmp_path / out)]) == 0
        said = capsys.readouterr().out
        found = json.loads((tmp_path / record).read_text())
        worth = found["networks"]["mlp:width=8"]["worth"]
        assert found["set_sha256"] == json.loads((tmp_path / out).read_text())["set_sha256"]
        assert "MLP (width=8)" in said
        assert f" {worth['images'] or worth['most']:,} random real ones" in said
        assert f"written to {tmp_path / record}" in said


def test_the_report_of_an_evaluated_run(run: Path) -> None:
    assert main(["report", str(run)]) == 0
    assert "<html" in (run / "report.html").read_text()
    assert (run / "figures/before.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("words", [["evaluate"], ["evaluate", "--recipe", "dsa-9", "--repeats", "1"]])
def test_evaluate_needs_a_set_and_a_known_recipe(
    words: list[str], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = words if len(words) == 1 else [words[0], str(run), *words[1:]]
    assert complaint(words, capsys)


def test_what_would_be_found_out_only_at_the_end_is_told_at_once(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "no network is named" in complaint(["evaluate", str(run), "--networks", ","], capsys)
    line = complaint(["evaluate", str(run), "--robustness", "--out", str(tmp_path)], capsys)
    assert f"cannot write {tmp_path}: Is a directory" in line


def saved_digits(file: Path) -> Path:
    """A file of the digits as arrays, with splits of its own: those that are held out elsewhere."""
    digits = load_dataset("digits")
    parts = {"train": digits.train, "val": digits.validation, "test": digits.test}
    arrays: dict[str, Any] = {f"{name}_images": part.images[:, 0].numpy() for name, part in parts.items()}
    arrays |= {f"{name}_labels": part.labels[:, None].numpy() for name, part in parts.items()}
    np.savez(file, **arrays)
    return file


def test_another_copy_of_the_dataset_serves_as_well(run: Path, tmp_path: Path) -> None:
    saved_digits(tmp_path / "copy.npz")
    words = ["evaluate", str(run), "--recipe", "coursework-50", "--repeats", "1", "--baselines", "none"]
    figures = []
    for place in ("digits", str(tmp_path / "copy.npz")):
        out = tmp_path / f"{len(figures)}.json"
        assert main([*words, "--dataset", place, "--out", str(out)]) == 0
        figures.append(next(iter(json.loads(out.read_text())["networks"].values()))["accuracies"])
    assert figures[0] == figures[1]


def test_other_data_than_a_set_was_made_from_come_with_a_warning(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(run), "--recipe", "coursework-50", "--repeats", "1", "--baselines", "none"]
    for place, told in (("digits", False), (str(saved_digits(tmp_path / "copy.npz")), True)):
        assert main([*words, "--dataset", place, "--out", str(tmp_path / f"{told}.json")]) == 0
        assert ("splits differ from those that the set was made from" in capsys.readouterr().err) is told


def test_names_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    table_console().print("runs/dm[v2]")
    assert "runs/dm[v2]" in capsys.readouterr().out


def test_a_terminal_without_every_sign_is_served(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "potstill", "list", "datasets"]
    done = subprocess.run(words, env=os.environ | {"PYTHONIOENCODING": "ascii"}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_network_that_no_memory_holds_is_the_users_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def too_large(*_: object, **__: object) -> None:
        torch.empty(2**60)

    monkeypatch.setattr("potstill.data.load_dataset", too_large)
    assert "out of memory" in complaint(["distill", "dm", "--out", str(tmp_path / "run")], capsys)


def test_a_damaged_set_is_named(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = tmp_path / "cut.safetensors"
    damaged.write_bytes((run / "synthetic.safetensors").read_bytes()[:100])
    line = complaint(["evaluate", str(damaged)], capsys)
    assert "cut.safetensors" in line
    assert "truncated or not safetensors" in line


def test_mixed_sizes_offer_a_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(6):
            side = 9 if (name, index) == ("b", 5) else 8
            pixels = rng.integers(0, 255, (side, side), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{index}.png")
    words = ["distill", "dm", "--dataset", str(tmp_path / "photos"), "--out", str(tmp_path / "run")]
    line = complaint(words, capsys)
    assert "5.png" in line
    assert "--image-size" in line
    assert not (tmp_path / "run").exists()


def test_a_class_whose_name_cannot_be_written_down_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    Path(os.fsdecode(os.fsencode(tmp_path / "photos") + b"/caf\xe9")).mkdir()
    line = complaint(["distill", "dm", "--dataset", str(tmp_path / "photos"), "--out", str(tmp_path / "run")], capsys)
    assert "'caf\\udce9' in" in line
    assert "not UTF-8; rename it" in line


def test_lists_and_citations(capsys: pytest.CaptureFixture[str]) -> None:
    for what, expected in {
        "methods": "datadam",
        "datasets": "imagenette",
        "networks": "resnet18",
        "recipes": "dsa-1000@1",
    }.items():
        assert main(["list", what]) == 0
        assert expected in capsys.readouterr().out
    assert main(["cite", "datadam"]) == 0
    assert capsys.readouterr().out.startswith("@inproceedings{sajedi2023datadam,")
    assert main(["cite", "datadam", "mtt", "datadam"]) == 0
    both = capsys.readouterr().out
    assert both.count("{sajedi2023datadam,") == both.count("{cazenavette2022mtt,") == 1


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "distill" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("potstill ")
    with pytest.raises(SystemExit) as ended:
        main(["distill", "dm", "--help"])
    assert ended.value.code == 0
    assert "--batch-real" in capsys.readouterr().out


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), ("1h30m", 5400)])
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "found"), [("500M", 5e8), ("4G", 4e9), ("4gb", 4e9), ("1.5 T", 1.5e12), ("20KB", 20_000), ("70", 70)]
)
def test_sizes_of_memory(text: str, found: float) -> None:
    assert size(text) == found


@pytest.mark.parametrize("text", ["", "G", "4 gigabytes", "-4G", "4GiB", "0M", "1e9"])
def test_what_is_not_a_size_of_memory(text: str) -> None:
    with pytest.raises(UserError, match="is not a memory size"):
        size(text)


def test_images_beyond_the_memory_limit_are_inspected_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draws = np.random.default_rng(0)
    for place in ("train/a", "train/b", "test/a", "test/b"):
        (tmp_path / "set" / place).mkdir(parents=True)
        for number in range(12):
            pixels = Image.fromarray(draws.integers(0, 256, (32, 32, 3), dtype=np.uint8))
            pixels.save(tmp_path / "set" / place / f"{number}.png")
    read = []
    monkeypatch.setattr(StoredImages, "read", spied(StoredImages.read, read))
    words = ["inspect", str(tmp_path / "set"), "--out", str(tmp_path / "a")]
    assert main(words) == 0
    assert not read
    assert main([*words[:-1], str(tmp_path / "b"), "--memory-limit", "200K"]) == 0
    assert read
    assert (tmp_path / "a/inspection.json").read_text() == (tmp_path / "b/inspection.json").read_text()


def spied(function: Callable[..., Any], calls: list[object]) -> Callable[..., Any]:
    def spy(*arguments: object) -> Any:
        calls.append(arguments)
        return function(*arguments)

    return spy


def test_smaller_chunks_are_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step, tried = DM.step, []

    def full(method: DM, problem: Any, state: Any, iteration: int) -> Any:
        if not tried:
            tried.append(iteration)
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step(method, problem, state, iteration)

    monkeypatch.setattr(DM, "step", full)
    assert main(["distill", "dm", *TINY, "--out", str(tmp_path / "run")]) == 0
    assert "\ntoo little memory on cpu: trying again with fewer images at a time\n" in capsys.readouterr().err


def test_more_memory_than_there_may_be_is_refused_and_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("potstill.distillation.memory.resident_bytes", lambda: 10_000_000)  # beside what it will need
    words = ["distill", "dm", *TINY, "--out", str(tmp_path / "run")]
    assert main([*words, "--memory-limit", "50M"]) == 2
    assert re.search(
        r"dm needs about \d+ MB of memory, and may use 50 MB; use a smaller --ipc", capsys.readouterr().err
    )
    assert not (tmp_path / "run").exists()
    assert main([*words, "--memory-limit", "500M"]) == 0
    planned = re.search(r"memory: about (\d+) MB planned", capsys.readouterr().err)
    assert planned is not None
    # A machine is not refused for a plan that may be too high by half; a limit is a limit.
    for share, code in ((0.8, 0), (0.5, 2)):
        machine = int(share * 1e6 * int(planned[1]))
        monkeypatch.setattr("potstill.runtime.bounds._installed_bytes", lambda machine=machine: machine)
        assert main([*words[:-1], str(tmp_path / f"{share}")]) == code


@pytest.mark.parametrize("text", ["", "m", "10 minutes", "-5m", "1h30", "5m 10"])
def test_what_is_not_a_duration(text: str) -> None:
    with pytest.raises(UserError, match="is not a duration"):
        duration(text)


@pytest.mark.parametrize(("name", "compiled"), [(signal.SIGINT, "on"), (signal.SIGTERM, "off")])
def test_an_interrupted_run_is_usable_and_quiet(name: signal.Signals, compiled: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    metrics = out / "metrics.jsonl"
    words = ["-m", "potstill", "distill", "dm", *TINY[:-1], "100000", "--compile", compiled, "--out", str(out)]
    with forked(*words, folder=tmp_path / "told") as process:
        deadline = time.monotonic() + 120
        while not (metrics.exists() and '"step"' in metrics.read_text()) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(process.pid, name)
        assert process.wait(60) == 130
    told = process.errors.read_text()
    # No progress bar where nobody watches, and no traceback; a line a minute if it takes long.
    first, planned, *lines, last = (line for line in told.splitlines() if not line.endswith(" so far)"))
    assert first == "digits: 1,797 images of 10 classes, 8×8, grey, as published"
    assert re.fullmatch(r"memory: about \d+ [MG]B planned", planned)
    assert last == f"potstill: interrupted; go on with: potstill distill --out {out} --resume"
    assert lines == []
    assert not (out / ".lock").exists()
    assert len(SyntheticSet.load(out / "synthetic.safetensors")) == 10
    assert json.loads((out / "manifest.json").read_text())["status"] == "interrupted"


@pytest.mark.parametrize("words", [["distill", "mtt"], ["evaluate"], ["experts"], ["compare"], ["search"]])
def test_help_fits_80_columns_and_shows_no_default_that_is_none(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main([*words, "--help"])
    lines = capsys.readouterr().out.splitlines()
    options = lines[next(place for place, line in enumerate(lines) if line.strip() == "options") :]
    assert max(map(len, options)) <= 80
    assert not any("None)" in line or "``" in line or line.endswith(" ") for line in lines)


@pytest.mark.parametrize("what", ["methods", "datasets", "networks", "recipes", "reproductions"])
def test_lists_fit_80_columns(what: str, capsys: pytest.CaptureFixture[str]):
    assert main(["list", what]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)
