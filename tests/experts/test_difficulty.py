"""Scores of difficulty by hand, and the file that keeps them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from potstill.experts.difficulty import (
    DIFFICULTY,
    el2n,
    forgetting_events,
    grand,
    read_difficulty,
    write_difficulty,
)
from potstill.experts.manifest import expert_file
from potstill.networks import ImageShape, build_network
from potstill.runtime.errors import UserError
from tests.small import NETWORK, digits, few, small_experts


def test_el2n_by_hand():
    p = [torch.tensor([[0.5, 0.5], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [0.2, 0.8]])]
    expected = [(0.5**0.5 + 0) / 2, (0 + (0.2**2 + 0.2**2) ** 0.5) / 2]
    assert el2n(p, torch.tensor([0, 1])).tolist() == pytest.approx(expected)


def test_grand_is_the_length_of_each_images_own_gradient():
    real = few(digits().train, (3, 3, 3))
    networks = [build_network(NETWORK, ImageShape(1, 8, 8), 3, torch.Generator().manual_seed(s)) for s in (0, 1)]
    lengths = grand(networks, real)
    for i in range(len(real)):
        expected = []
        for network in networks:
            network.requires_grad_(True)
            loss = F.cross_entropy(network(real.normalised(torch.tensor([i]))), real.labels[i : i + 1])
            gradients = torch.autograd.grad(loss, list(network.parameters()))
            expected.append(torch.cat([g.flatten() for g in gradients]).norm().item())
        assert lengths[i].item() == pytest.approx(sum(expected) / 2, rel=1e-4)


def test_forgetting_by_hand():
    right = torch.tensor(
        [
            [1, 0, 0, 1],
            [0, 0, 1, 1],
            [1, 0, 1, 1],
            [0, 0, 1, 1],
        ]
    ).bool()
    assert forgetting_events(right).tolist() == [2, 4, 0, 0]
    assert forgetting_events(right, "easiest").tolist() == [2, 0, 0, 0]


def test_difficulty_survives_its_file_and_damage_is_told(tmp_path: Path):
    scores = {"el2n": torch.rand(5), "forgetting": torch.arange(5)}
    write_difficulty(tmp_path / DIFFICULTY, scores)
    read = read_difficulty(tmp_path / DIFFICULTY, 5)
    assert read["el2n"].equal(scores["el2n"])
    assert read["forgetting"].tolist() == [0, 1, 2, 3, 4]
    (tmp_path / DIFFICULTY).write_bytes(b"cut")
    with pytest.raises(UserError, match=r"difficulty\.safetensors cannot be read"):
        read_difficulty(tmp_path / DIFFICULTY, 5)
    (tmp_path / DIFFICULTY).write_bytes(expert_bytes())
    with pytest.raises(UserError, match="contains no difficulty scores"):
        read_difficulty(tmp_path / DIFFICULTY, 5)


@pytest.mark.parametrize("score", [torch.rand(4), torch.rand(5, 1), torch.tensor([0, 1, 2, torch.nan, 3])])
def test_scores_of_other_images_are_refused(score: torch.Tensor, tmp_path: Path):
    write_difficulty(tmp_path / DIFFICULTY, {"el2n": score})
    with pytest.raises(UserError, match="does not have one score 'el2n' for each of 5 images; remove it"):
        read_difficulty(tmp_path / DIFFICULTY, 5)


def expert_bytes() -> bytes:
    return expert_file(Path(small_experts()), 0).read_bytes()
