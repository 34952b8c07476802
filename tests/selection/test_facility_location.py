"""Facility location beside its twin, its guarantee, and what the sampled form may lose."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from potstill.selection import facility_location as module
from potstill.selection.facility_location import facility_location
from tests.selection.points import points, some_points


def cost(x: Tensor, chosen: Tensor) -> float:
    """The sum of the distances to the nearest of the chosen."""
    return float(torch.cdist(x, x[chosen]).min(1).values.sum())


@given(some_points, st.integers(1, 12))
def test_every_step_is_the_best_of_all(given_points: tuple[int, int, int], count: int):
    x = points(*given_points)
    count = min(count, len(x))
    chosen = facility_location(x.float(), count, 0)
    assert len(chosen.unique()) == count
    for number in range(count):
        before = chosen[:number]
        least = min(cost(x, torch.cat([before, torch.tensor([i])])) for i in range(len(x)))
        assert cost(x, chosen[: number + 1]) == pytest.approx(least, abs=1e-4)


@given(st.integers(0, 1000), st.integers(1, 4))
def test_it_reaches_its_share_of_the_best(seed: int, count: int):
    x = points(9, 2, seed)
    chosen = facility_location(x.float(), count, 0)
    most = 9 * float(torch.cdist(x, x).max())
    best = min(cost(x, torch.tensor(some)) for some in combinations(range(9), count))
    assert most - cost(x, chosen) >= (1 - 1 / math.e) * (most - best) - 1e-4


def test_of_many_images_few_are_looked_at_and_little_is_lost(monkeypatch: pytest.MonkeyPatch):
    x = points(1200, 5, 0).float()
    exact = cost(x, facility_location(x, 40, 0))
    monkeypatch.setattr(module, "EXACT_UP_TO", 100)
    monkeypatch.setattr(module, "CLIENTS", 1200)
    sampled = facility_location(x, 40, 0)
    assert len(sampled.unique()) == 40
    assert sampled.tolist() == facility_location(x, 40, 0).tolist()
    assert sampled.tolist() != facility_location(x, 40, 1).tolist()
    drawn = sum(cost(x, torch.randperm(1200)[:40]) for _ in range(5)) / 5
    assert cost(x, sampled) < exact + 0.2 * (drawn - exact)


@pytest.mark.parametrize("sampled", [False, True])
def test_an_offset_changes_nothing(sampled: bool, monkeypatch: pytest.MonkeyPatch):
    x = (0.1 * points(900, 8, 0)).float().double()
    far = (x + 1000).float()
    if sampled:
        monkeypatch.setattr(module, "EXACT_UP_TO", 10)
    near = facility_location((far.double() - 1000).float(), 20, 0)
    assert facility_location(far, 20, 0).tolist() == near.tolist()


def test_many_of_many_are_spread_over_the_file(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "EXACT_UP_TO", 10)
    x = points(1000, 4, 0).float()
    left = set(range(1000)) - set(facility_location(x, 900, 0).tolist())
    assert 400 < sum(left) / len(left) < 600


def test_all_images_can_be_asked_for(monkeypatch: pytest.MonkeyPatch):
    x = points(30, 3, 0).float()
    assert sorted(facility_location(x, 30, 0).tolist()) == list(range(30))
    monkeypatch.setattr(module, "EXACT_UP_TO", 10)
    assert sorted(facility_location(x, 30, 0).tolist()) == list(range(30))
