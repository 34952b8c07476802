"""The checkpoint of a run: one file of tensors and plain values, and which state is kept."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from potstill.distillation.checkpoint import Checkpoint
from potstill.methods import State
from potstill.runtime.errors import UserError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.safetensors"


def kept(checkpoint: Checkpoint, path: Path) -> Checkpoint:
    checkpoint.save(path)
    return Checkpoint.load(path)


def test_round_trip(path: Path):
    state = {"images": torch.randn(2, 1, 3, 3, dtype=torch.float64), "count": torch.tensor(3)}
    best = torch.randn(2, 1, 3, 3)
    made = Checkpoint(
        state=state,
        iteration=7,
        seconds=1.5,
        best_iteration=5,
        best_accuracy=0.25,
        best_state={"images": best},
        validated=6,
    )
    loaded = kept(made, path)
    assert loaded.state.keys() == state.keys()
    assert all(loaded.state[name].equal(state[name]) for name in state)
    assert loaded.state["images"].dtype == torch.float64
    assert loaded.best_state is not None
    assert loaded.best_state["images"].equal(best)
    assert replace(loaded, state=state, best_state=made.best_state) == made


def test_the_best_state_may_be_the_present_one(path: Path):
    images = torch.randn(2, 1, 3, 3)
    loaded = kept(Checkpoint(state={"images": images}, best_state={"images": images}), path)
    assert loaded.best_state is not None
    assert loaded.best_state["images"].equal(images)


def test_weights_may_lie_channels_last(path: Path):
    weight = torch.randn(2, 3, 3, 3).contiguous(memory_format=torch.channels_last)
    loaded = kept(Checkpoint(state={"weight": weight}), path)
    assert loaded.state["weight"].equal(weight)
    assert loaded.best_state is None
    assert loaded.best_accuracy is None


def test_a_truncated_checkpoint_is_named(path: Path):
    Checkpoint(state={"images": torch.zeros(100)}).save(path)
    whole = path.read_bytes()
    for length in (0, 4, 50, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"state\.safetensors is damaged"):
            Checkpoint.load(path)


def test_a_value_that_changed_is_noticed(path: Path):
    Checkpoint(state={"images": torch.zeros(100)}, iteration=12).save(path)
    whole = path.read_bytes()
    for place in (whole.index(b"12"), whole.index(b"F32"), len(whole) - 1):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(UserError, match=r"state\.safetensors is damaged"):
            Checkpoint.load(path)


def older(path: Path, state: State, **values: str) -> None:
    """A checkpoint of a version that wrote no hash."""
    texts = {"iteration": "3", "seconds": "1.5", "best_iteration": "null", "best_accuracy": "null", "validated": "0"}
    save_file({f"state.{name}": tensor for name, tensor in state.items()}, path, texts | values)


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        ({"images": torch.zeros(2, 3)}, None),
        ({"images": torch.zeros(3, 2)}, r"images is float32 \(3, 2\), not float32 \(2, 3\)"),
        ({"images": torch.zeros(2, 3, dtype=torch.int32)}, r"images is int32 \(2, 3\), not float32"),
        ({"labels": torch.zeros(2, 3)}, r"images is absent, not float32 \(2, 3\)"),
        ({"images": torch.zeros(2, 3), "more": torch.zeros(1)}, r"more is float32 \(1,\), not absent"),
    ],
)
def test_older_files_are_compared_with_a_state(state: State, problem: str | None, path: Path):
    older(path, state)
    with nullcontext() if problem is None else pytest.raises(UserError, match=problem):
        assert Checkpoint.load(path, lambda: {"images": torch.ones(2, 3)}).iteration == 3


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"iteration": "-Infinity"}, "iteration is not valid JSON: -Infinity"),
        ({"iteration": "-1"}, "iteration is not a whole number"),
        ({"iteration": "1.5"}, "iteration is not a whole number"),
        ({"seconds": '"x"'}, "seconds is not a number"),
        ({"best_accuracy": "1.01"}, "best_accuracy is not a fraction"),
        ({"validated": "[]"}, "validated is not a whole number"),
        ({"iteration": "9" * 400}, "400 digits"),
    ],
)
def test_values_that_cannot_be_are_named(values: dict[str, str], problem: str, path: Path):
    older(path, {"images": torch.zeros(1)}, **values)
    with pytest.raises(UserError, match=problem):
        Checkpoint.load(path)


@pytest.mark.parametrize("metadata", [None, {"seconds": "1.5"}])
def test_tensors_that_do_not_say_their_iteration_are_no_checkpoint(metadata: dict[str, str] | None, path: Path):
    save_file({"state.images": torch.zeros(3)}, path, metadata)
    with pytest.raises(UserError, match=r"state\.safetensors.* iteration"):
        Checkpoint.load(path)


def test_the_best_state_is_kept_and_of_equals_the_earliest():
    now = Checkpoint(state={"at": torch.tensor(0)})
    chosen = []
    for iteration, accuracy in enumerate([0.5, 0.4, 0.5, 0.6, 0.6], 1):
        now = replace(now, state={"at": torch.tensor(iteration)}, iteration=iteration).judged(accuracy)
        assert now.validated == iteration
        chosen.append(now.chosen[1])
        assert int(now.chosen[0]["at"]) == now.chosen[1]
    assert chosen == [1, 1, 1, 4, 4]
    assert now.best_accuracy == 0.6


def test_the_present_state_is_kept_where_none_was_judged():
    state = {"images": torch.zeros(1)}
    assert Checkpoint(state=state, iteration=3).chosen == (state, 3)
