"""The checkpoint of a run: one file of tensors and plain values, and which state is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from potstill.distillation.checkpoint import Checkpoint
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
