"""The checkpoint of a run: one file of tensors and plain values."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from potstill.distillation.run_folder import Checkpoint, RunFolder
from potstill.runtime.errors import UserError


def test_checkpoint_round_trip(tmp_path: Path):
    state = {"images": torch.randn(2, 1, 3, 3, dtype=torch.float64), "count": torch.tensor(3)}
    best = torch.randn(2, 1, 3, 3)
    folder = RunFolder(tmp_path)
    folder.save_checkpoint(
        Checkpoint(
            state=state, iteration=7, seconds=1.5, best_iteration=5, best_accuracy=0.25, best_state={"images": best}
        )
    )
    loaded = folder.load_checkpoint()
    assert loaded is not None
    assert loaded.state.keys() == state.keys()
    assert all(loaded.state[name].equal(state[name]) for name in state)
    assert loaded.state["images"].dtype == torch.float64
    assert loaded.best_state is not None
    assert loaded.best_state["images"].equal(best)
    assert (loaded.iteration, loaded.seconds, loaded.best_iteration, loaded.best_accuracy) == (7, 1.5, 5, 0.25)


def test_the_best_state_may_be_the_present_one(tmp_path: Path):
    images, folder = torch.randn(2, 1, 3, 3), RunFolder(tmp_path)
    folder.save_checkpoint(Checkpoint(state={"images": images}, best_state={"images": images}))
    loaded = folder.load_checkpoint()
    assert loaded is not None
    assert loaded.best_state is not None
    assert loaded.best_state["images"].equal(images)


def test_weights_may_lie_channels_last(tmp_path: Path):
    weight = torch.randn(2, 3, 3, 3).contiguous(memory_format=torch.channels_last)
    folder = RunFolder(tmp_path)
    folder.save_checkpoint(Checkpoint(state={"weight": weight}))
    loaded = folder.load_checkpoint()
    assert loaded is not None
    assert loaded.state["weight"].equal(weight)
    assert loaded.best_state is None
    assert loaded.best_accuracy is None


def test_there_may_be_none_yet(tmp_path: Path):
    assert RunFolder(tmp_path).load_checkpoint() is None


def test_a_truncated_checkpoint_is_named(tmp_path: Path):
    folder = RunFolder(tmp_path)
    folder.save_checkpoint(Checkpoint(state={"images": torch.zeros(100)}))
    whole = folder.checkpoint.read_bytes()
    for length in (0, 4, 50, len(whole) - 1):
        folder.checkpoint.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"state\.safetensors is damaged"):
            folder.load_checkpoint()
