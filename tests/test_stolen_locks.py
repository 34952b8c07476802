"""A process that loses its lock to another one writes nothing more, whatever it is doing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from potstill.applications import compare, search
from potstill.cli.main import main
from potstill.distillation import Settings, distill
from potstill.evaluation import RECIPES, NetworkResult, Resources, evaluate, robustness
from potstill.evaluation.series import TrainingSpec
from potstill.experts.plan import ExpertPlan
from potstill.experts.train import keep_scores, train_experts
from potstill.methods import DM, Random
from potstill.reproductions import Published, Reproduction, Row, reproduce
from potstill.runtime import lock
from potstill.runtime.compute import CPU
from potstill.runtime.compute_choice import ComputeChoice
from potstill.runtime.errors import UserError
from potstill.runtime.files import staged, write_atomic
from potstill.runtime.lock import Lock, locked
from potstill.runtime.writer import Writer
from potstill.schema.evaluation import Evaluation
from potstill.synthetic import SyntheticSet
from tests.small import NETWORK, digits, on_cpu, small_digits, small_experts

RESOURCES = Resources(compute=ComputeChoice(device="cpu", precision="float32", compile="off"))
RECIPE = replace(RECIPES["quick"], epochs=2, full_epochs=1)
SETTINGS = Settings(method=DM(batch_real=4), dataset="digits", ipc=1, network=NETWORK, iterations=2, validate_every=0)
TABLE = Reproduction(
    name="small",
    title="A table of digits",
    source="nobody",
    recipe="quick",
    repeats=1,
    rows=(Row(label="dm", settings=lambda: SETTINGS, published={NETWORK: Published(50.0, 50.0)}),),
)
PLAN = ExpertPlan(network=NETWORK, count=2, epochs=4, learning_rate=0.05)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name, method in (("dm", DM(batch_real=4)), ("random", Random())):
        distill(replace(SETTINGS, method=method, iterations=0 if name == "random" else 2), out=folder / name)
    shutil.copytree(small_experts(), folder / "experts")
    return folder


def steal(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on, every lock is taken over by another process at once."""
    taken, other = lock._taken, Writer.here()
    theirs = {"pid": 1, "host": "box", "since": "2026-01-01", "machine": "0" * 8, "life": other.life}

    def lost(target: Path, path: Path) -> Lock:
        held = taken(target, path)
        path.write_text(json.dumps(theirs))
        return held

    monkeypatch.setattr(lock, "_taken", lost)


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith("lock")
    }


def the_set(runs: Path) -> SyntheticSet:
    return SyntheticSet.load(runs / "dm" / "synthetic.safetensors")


COMMANDS: dict[str, Callable[[Path], object]] = {
    "distill": lambda runs: distill(SETTINGS, out=runs / "dm", resume=True),
    "experts": lambda runs: train_experts(replace(PLAN, count=3), digits(), runs / "experts", CPU, resume=True),
    "scores": lambda runs: keep_scores(PLAN, small_digits(), runs / "experts", CPU, ["forgetting"]),
    "evaluate": lambda runs: evaluate(
        the_set(runs),
        on_cpu(small_digits()),
        recipe=RECIPE,
        networks=[NETWORK],
        baselines=(),
        record=runs / "dm" / Evaluation.FILE,
    ),
    "search": lambda runs: search(
        the_set(runs), on_cpu(small_digits()), space={"net": NETWORK}, recipe=RECIPE, record=runs / "dm" / "search.json"
    ),
    "compare": lambda runs: compare(
        [str(runs / "dm"), str(runs / "random")], runs / "both", recipe="quick", full=False, resources=RESOURCES
    ),
    "reproduce": lambda runs: reproduce(TABLE, runs / "table", resources=RESOURCES),
}


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_notices_before_it_writes(
    command: str, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    copy = shutil.copytree(runs, tmp_path / "runs")
    before = files(copy)
    steal(monkeypatch)
    with pytest.raises(UserError, match="was deleted, moved or taken over"):
        COMMANDS[command](copy)
    assert files(copy) == before


@pytest.mark.slow
def test_robust_scores_are_not_written_either(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def measured(_runner: Any, _network: str, specs: list[TrainingSpec]) -> dict[str, NetworkResult]:
        return {spec.trained_on: NetworkResult(accuracies=[0.5], learning_rate=0.1) for spec in specs}

    monkeypatch.setattr(robustness, "_measured", measured)
    copy = shutil.copytree(runs, tmp_path / "runs")
    before = files(copy)
    steal(monkeypatch)
    assert main(["evaluate", str(copy / "dm"), "--robustness"]) == 2
    assert "taken over while it was being written" in capsys.readouterr().err
    assert files(copy) == before


def test_the_writer_itself_asks(tmp_path: Path):
    with locked(tmp_path / "a.json"), locked(tmp_path / "b.json"):
        write_atomic(tmp_path / "a.json", "")
        (tmp_path / ".a.json.lock").unlink()
        for write in (lambda: write_atomic(tmp_path / "b.json", ""), lambda: staged(tmp_path / "c").__enter__()):
            with pytest.raises(UserError, match=r"a\.json was deleted, moved or taken over"):
                write()
    write_atomic(tmp_path / "b.json", "")


def test_a_folder_that_was_being_made_is_not_put_in_its_place(tmp_path: Path):
    def make() -> None:
        with staged(tmp_path / "new") as made:
            made.mkdir()
            (tmp_path / ".a.json.lock").unlink()

    with locked(tmp_path / "a.json"), pytest.raises(UserError, match="taken over"):
        make()
    assert list(tmp_path.iterdir()) == []
