"""Experts: what is kept of them, and what an interruption costs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from potstill.data import load_dataset
from potstill.experts import train as experts
from potstill.experts.difficulty import DIFFICULTY, read_difficulty
from potstill.experts.manifest import expert_file, stored_plan
from potstill.experts.plan import ExpertPlan
from potstill.experts.train import keep_scores, train_experts
from potstill.networks import ImageShape, build_network
from potstill.networks.weights import WeightsFile, install
from potstill.runtime import files
from potstill.runtime.compute import CPU, Compute
from potstill.runtime.errors import UserError
from potstill.schema.experts import ExpertsManifest
from potstill.units import Crew
from tests.small import CPU64, NETWORK, small_digits

PLAN = ExpertPlan(network=NETWORK, count=3, epochs=2, batch_size=32, learning_rate=0.05)
BATCH_NORM = "convnet:depth=2:width=4:norm=batch"


def train(out: Path, plan: ExpertPlan = PLAN, **options: Any) -> ExpertsManifest:
    return train_experts(plan, small_digits(), str(out), options.pop("compute", CPU), **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.safetensors"))}


def test_every_epoch_is_kept_and_none_shares_memory(tmp_path: Path):
    record = train(tmp_path / "experts")
    assert len(record.experts) == 3
    for number in range(3):
        file = WeightsFile(expert_file(tmp_path / "experts", number))
        assert file.epochs == [0, 1, 2]
        assert file.about["network"] == NETWORK
        weights = [file.read(epoch) for epoch in file.epochs]
        assert not any(weights[0][name].equal(weights[1][name]) for name in weights[0] if name.endswith("0.weight"))
        assert not any(weights[1][name].equal(weights[2][name]) for name in weights[0] if name.endswith("0.weight"))


def test_epoch_zero_is_where_training_began_and_the_last_is_its_end(tmp_path: Path):
    train(tmp_path / "experts")
    data, learned = small_digits(), []
    file = WeightsFile(expert_file(tmp_path / "experts", 0))
    network = build_network(NETWORK, ImageShape(*data.shape), 10, torch.Generator())
    for epoch in (0, 2):
        install(network, file.read(epoch), file.path)
        learned.append((network.eval()(data.train.normalised()).argmax(1) == data.train.labels).double().mean().item())
    assert learned[1] > learned[0] + 0.1


def test_batch_norms_running_statistics_are_kept(tmp_path: Path):
    train(tmp_path / "experts", replace(PLAN, network=BATCH_NORM, count=1))
    file = WeightsFile(expert_file(tmp_path / "experts", 0))
    means = [file.read(epoch)["blocks.0.1.running_mean"] for epoch in file.epochs]
    assert means[0].equal(torch.zeros(4))
    assert not means[1].equal(means[2])


def test_where_no_network_is_named_it_is_that_of_the_data(tmp_path: Path):
    np.savez(tmp_path / "points.npz", vectors=np.random.default_rng(0).normal(size=(40, 6)), labels=np.arange(40) % 2)
    plan, vectors = ExpertPlan(count=1, epochs=2), load_dataset(tmp_path / "points.npz")
    train_experts(plan, vectors, tmp_path / "experts", CPU)
    assert WeightsFile(expert_file(tmp_path / "experts", 0)).about["network"] == "linear"
    assert stored_plan(tmp_path / "experts")[0].network == "linear"
    record = train_experts(replace(plan, count=2), vectors, tmp_path / "experts", CPU, resume=True)
    assert (len(record.experts), record.plan["network"]) == (2, "linear")
    assert list(keep_scores(plan, vectors, tmp_path / "experts", CPU, ["el2n"])) == ["el2n"]
    assert plan.trained_network((1, 8, 8)) == "convnet"


def test_low_precision_keeps_experts_in_single(tmp_path: Path):
    train(tmp_path / "experts", replace(PLAN, count=1), compute=Compute(torch.device("cpu"), "bfloat16"))
    weights = WeightsFile(expert_file(tmp_path / "experts", 0)).read()
    assert all(tensor.dtype == torch.float32 for tensor in weights.values())
    assert not all(tensor.equal(tensor.bfloat16().float()) for tensor in weights.values()), "the master weights"


def test_the_last_alone_is_enough_to_begin_from(tmp_path: Path):
    train(tmp_path / "all")
    train(tmp_path / "last", replace(PLAN, last_only=True))
    for number in range(3):
        every, last = (WeightsFile(expert_file(tmp_path / name, number)) for name in ("all", "last"))
        assert last.epochs == [2]
        assert all(last.read()[name].equal(tensor) for name, tensor in every.read(2).items())


def test_the_seed_and_the_number_decide(tmp_path: Path):
    torch.manual_seed(0)
    train(tmp_path / "one")
    torch.manual_seed(1)
    train(tmp_path / "same")
    train(tmp_path / "other", replace(PLAN, seed=1))
    assert contents(tmp_path / "one") == contents(tmp_path / "same")
    assert len({*contents(tmp_path / "one").values(), *contents(tmp_path / "other").values()}) == 6


@pytest.mark.parametrize("curriculum", [False, True])
def test_experts_trained_at_once_are_what_they_are_apart(curriculum: bool, tmp_path: Path):
    plan = replace(PLAN, curriculum=curriculum)
    apart = train(tmp_path / "apart", plan, compute=CPU64)
    together = train(tmp_path / "together", replace(plan, at_once=2), compute=CPU64)
    for number, (ours, theirs) in enumerate(zip(together.experts, apart.experts, strict=True)):
        assert ours.number == theirs.number == number
        assert ours.losses == pytest.approx(theirs.losses, rel=1e-6)
        assert ours.validation_accuracy == theirs.validation_accuracy
        files = [WeightsFile(expert_file(tmp_path / name, number)) for name in ("together", "apart")]
        for epoch in files[0].epochs:
            read = [file.read(epoch) for file in files]
            for name in read[0]:
                torch.testing.assert_close(read[0][name], read[1][name], rtol=1e-5, atol=1e-6)


class Killed(BaseException):
    """What a kill looks like to the code that it cuts short."""


def killed_in(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, call: int) -> None:
    """The function dies in its call of that number, and works again afterwards."""
    whole: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def mortal(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise Killed
        return whole(*given, **named)

    monkeypatch.setattr(owner, name, mortal)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, bytes]]:
    """What a training leaves that nothing kills, by the number of experts at once."""
    folders = {at_once: tmp_path_factory.mktemp("whole") / "experts" for at_once in (1, 2)}
    for at_once, folder in folders.items():
        train(folder, replace(PLAN, at_once=at_once))
    return {at_once: contents(folder) for at_once, folder in folders.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "call", "at_once"),
    [
        *((name, call, at_once) for name in ("write_weights", "write") for call in (1, 2, 3) for at_once in (1, 2)),
        *(("fit", call, 1) for call in (1, 2, 3)),
        *(("fit", call, 2) for call in (1, 2)),
    ],
)
def test_a_killed_training_goes_on_and_ends_the_same(
    name: str,
    call: int,
    at_once: int,
    whole: dict[int, dict[str, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    plan = replace(PLAN, at_once=at_once)
    killed_in(monkeypatch, ExpertsManifest if name == "write" else experts, name, call)
    with pytest.raises(Killed):
        train(tmp_path / "cut", plan)
    begun = (tmp_path / "cut").exists()
    assert begun or name == "write", "only a folder that was never begun is begun anew"
    finished = contents(tmp_path / "cut")
    record = train(tmp_path / "cut", plan, resume=begun)
    assert contents(tmp_path / "cut") == whole[at_once]
    assert finished.items() <= contents(tmp_path / "cut").items()
    assert [expert.number for expert in record.experts] == [0, 1, 2]
    assert json.loads((tmp_path / "cut" / ExpertsManifest.FILE).read_text()) == record.to_json()


def test_more_experts_add_to_those_there_are(tmp_path: Path):
    train(tmp_path / "experts", replace(PLAN, count=1))
    heard: list[str] = []
    train(tmp_path / "experts", resume=True, progress=heard.append)
    assert [words.split(":")[0] for words in heard] == ["expert 2 of 3", "expert 3 of 3"]
    assert stored_plan(tmp_path / "experts")[0].count == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 3}, r"were started with other settings: `epochs` \(2 there, 3 here\)"),
        ({"network": "lenet", "seed": 1}, r"`network` \(.* there, lenet here\), `seed` \(0 there, 1 here\)"),
    ],
)
def test_experts_of_another_plan_are_not_mixed(changes: dict[str, Any], message: str, tmp_path: Path):
    train(tmp_path / "experts")
    with pytest.raises(UserError, match=message):
        train(tmp_path / "experts", replace(PLAN, **changes), resume=True)


def test_experts_of_another_dataset_are_not_mixed(tmp_path: Path):
    train(tmp_path / "experts")
    other = replace(small_digits(), fingerprint="other")
    with pytest.raises(UserError, match=r"the experts in .* were started with another dataset"):
        train_experts(PLAN, other, tmp_path / "experts", CPU, resume=True)


def test_a_folder_that_exists_is_not_touched(tmp_path: Path):
    (tmp_path / "experts").mkdir()
    with pytest.raises(UserError, match="already exists; use `resume=True`"):
        train(tmp_path / "experts")
    with pytest.raises(UserError, match=r"there are no experts in .*experts; name a folder"):
        train(tmp_path / "experts", resume=True)


@pytest.mark.parametrize("damage", ["cut", "removed"])
def test_a_damaged_expert_is_named_and_made_again(damage: str, tmp_path: Path):
    train(tmp_path / "experts")
    whole, damaged = contents(tmp_path / "experts"), expert_file(tmp_path / "experts", 1)
    damaged.write_bytes(b"cut")
    with pytest.raises(UserError, match=r"expert-0001\.safetensors holds no usable weights.*the others stay usable"):
        WeightsFile(damaged)
    if damage == "removed":
        damaged.unlink()
    heard: list[str] = []
    record = train(tmp_path / "experts", resume=True, progress=heard.append)
    assert [words.split(":")[0] for words in heard] == ["expert 2 of 3"]
    assert [expert.number for expert in record.experts] == [0, 1, 2]
    assert all(contents(tmp_path / "experts")[name] == whole[name] for name in whole if name != ExpertsManifest.FILE)


def test_experts_of_one_folder_are_of_one_precision(tmp_path: Path):
    train(tmp_path / "experts")
    other = replace(CPU, precision="float64")
    with pytest.raises(UserError, match="were started in float32, but the others would be trained in float64"):
        train_experts(replace(PLAN, count=4), small_digits(), tmp_path / "experts", other, resume=True)
    train_experts(PLAN, small_digits(), tmp_path / "experts", other, resume=True)  # nothing is left to train


def test_a_disk_too_small_is_told_before_anything_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(UserError, match=r"these experts need [\d.]+ [kM]B, but .* has 1 kB free; use a smaller"):
        train(tmp_path / "experts")
    assert list(tmp_path.iterdir()) == []


def test_the_estimate_is_what_is_kept(tmp_path: Path):
    train(tmp_path / "experts")
    network = build_network(NETWORK, ImageShape(1, 8, 8), 10, torch.Generator())
    kept = sum(path.stat().st_size for path in (tmp_path / "experts").glob("*.safetensors"))
    assert PLAN.bytes_kept(network) == pytest.approx(kept, rel=0.25), "the rest are names"


@pytest.mark.parametrize("changes", [{"count": 0}, {"epochs": 0}])
def test_a_plan_of_nothing_is_refused(changes: dict[str, int]):
    with pytest.raises(UserError, match="=0` is too small"):
        replace(PLAN, **changes)


def test_scores_of_experts_are_kept_beside_them_and_added_to(tmp_path: Path):
    plan, data = ExpertPlan(network=NETWORK, count=2, epochs=4), small_digits()
    train_experts(plan, data, tmp_path / "experts", CPU)
    one = keep_scores(plan, data, tmp_path / "experts", CPU, ["forgetting"])
    both = keep_scores(plan, data, tmp_path / "experts", CPU, ["el2n", "forgetting"])
    assert set(one) == {"forgetting"}
    kept = read_difficulty(tmp_path / "experts" / DIFFICULTY, len(data.train))
    assert kept.keys() == both.keys() == {"el2n", "forgetting"}
    assert both["forgetting"].equal(one["forgetting"])


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"at_once": 2}, {"curriculum": True}], ids=["plain", "at once", "curriculum"])
def test_other_processes_train_the_same_experts(options: dict[str, Any], crew: Crew, tmp_path: Path):
    plan = replace(PLAN, **options)
    here = train(tmp_path / "here", plan)
    there = train(tmp_path / "there", plan, executor=crew)
    assert contents(tmp_path / "here") == contents(tmp_path / "there")
    assert [expert.losses for expert in here.experts] == [expert.losses for expert in there.experts]
    assert [expert.number for expert in there.experts] == [0, 1, 2]
