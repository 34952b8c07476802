"""The plan of experts: the names of their folders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from potstill.experts.plan import ExpertPlan
from potstill.experts.train import train_experts
from potstill.runtime.compute import CPU
from potstill.runtime.errors import UserError
from tests.small import NETWORK, small_digits

MNIST = ExpertPlan(dataset="mnist", network="convnet", count=3, epochs=6, batch_size=1024)


def test_folders_of_experts_keep_their_names():
    assert ExpertPlan().key == "5ce44dad"
    assert MNIST.key == replace(MNIST, ends_only=True).key == "326ee653"


@pytest.mark.parametrize(
    "changed",
    [
        {"dataset": "usps"},
        {"network": "lenet"},
        {"epochs": 7},
        {"image_size": 16},
        {"seed": 1},
        {"image_column": "scan"},
        {"label_column": "scan"},
        {"split_map": "train=fold1,test=fold2"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_experts_of_other_networks_or_data_have_another_folder(changed: dict[str, Any]):
    assert replace(MNIST, **changed).key != MNIST.key


def test_experts_of_other_data_or_with_other_epochs_kept_are_never_taken(tmp_path: Path):
    plan, data = ExpertPlan(network=NETWORK, count=1, epochs=2), small_digits()
    train_experts(plan, data, tmp_path / "experts", CPU)
    with pytest.raises(UserError, match="were started with another dataset"):
        train_experts(plan, replace(data, fingerprint="another"), tmp_path / "experts", CPU, resume=True)
    with pytest.raises(UserError, match="were started with other settings: `ends_only`"):
        train_experts(replace(plan, ends_only=True), data, tmp_path / "experts", CPU, resume=True)
