"""Herding and k-center of many vectors: the same choice, whatever bounds they are found by, and little memory."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from potstill.selection import nearest, rows
from potstill.selection.greedy import herding, k_center


def vectors(count: int, size: int, seed: int = 0) -> Tensor:
    """Clusters of unequal spread, far from the origin."""
    draws = torch.Generator().manual_seed(seed)
    centres = torch.randn(12, size, generator=draws) * torch.linspace(3, 0.1, size)
    members = torch.randint(12, (count,), generator=draws)
    return centres[members] + torch.randn(count, size, generator=draws) * torch.linspace(1, 0.1, size) + 5


def plain_k_center(features: Tensor, count: int) -> list[int]:
    features = features.double()
    chosen = [int((features - features.mean(0)).square().sum(1).argmin())]
    nearest = torch.full((len(features),), torch.inf, dtype=torch.float64)
    while len(chosen) < count:
        nearest = torch.minimum(nearest, (features - features[chosen[-1]]).square().sum(1))
        chosen.append(int(nearest.argmax()))
    return chosen


def plain_herding(features: Tensor, count: int) -> list[int]:
    features, total, chosen = features.double(), torch.zeros(features.shape[1], dtype=torch.float64), list[int]()
    for number in range(1, count + 1):
        apart = ((total + features) / number - features.mean(0)).norm(dim=1)
        apart[chosen] = torch.inf
        chosen.append(int(apart.argmin()))
        total += features[chosen[-1]]
    return chosen


@pytest.mark.parametrize("projected_from", [1, 10**9])
def test_bounds_change_no_choice(projected_from: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(nearest, "PROJECTED_FROM", projected_from)
    monkeypatch.setattr(rows, "BLOCK_VALUES", 150 * 400)
    x = vectors(1500, 150)
    assert k_center(x, 80).tolist() == plain_k_center(x, 80)
    assert herding(x, 80).tolist() == plain_herding(x, 80)


def test_bounds_are_bounds():
    x = vectors(800, 150)
    found = nearest._Projected(rows.CentredRows(x))
    true = (x.double() - x[7].double()).square().sum(1)
    bounds = found.bounds(7, slice(0, 800)).double()
    assert (bounds <= true).all()
    assert (bounds > 0.9 * true).float().mean() > 0.9, "or they would exclude nothing"


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_vectors_of_any_type(dtype: torch.dtype):
    x = vectors(300, 20).to(dtype)
    assert k_center(x, 10).tolist() == plain_k_center(x, 10)
    assert herding(x, 10).tolist() == plain_herding(x, 10)


@pytest.mark.parametrize("offset", [0.0, 100.0, 1e4])
def test_neither_an_offset_nor_an_outlier_hides_small_differences(offset: float):
    x = (0.01 * vectors(400, 6).double() + offset).float()
    assert k_center(x, 12).tolist() == plain_k_center(x, 12)
    assert herding(x, 12).tolist() == plain_herding(x, 12)
    x[7] = offset + 1e5
    assert k_center(x, 12).tolist() == plain_k_center(x, 12)


def test_it_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("potstill.runtime.progress.QUIET_SECONDS", 0)
    told: list[str] = []
    k_center(vectors(20, 3), 5, progress=told.append)
    assert told[0].startswith("k-center: 2 of 5 chosen, ")
