"""Herding and k-center, beside their twins."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from potstill.selection.greedy import herding, k_center
from potstill.selection.means import nearest_to_mean
from tests.selection import twins
from tests.selection.points import points, some_points


@given(some_points, st.integers(1, 12))
def test_herding_equals_its_twin(given_points: tuple[int, int, int], count: int):
    x = points(*given_points)
    count = min(count, len(x))
    assert herding(x, count).tolist() == twins.herding(x, count)


@given(some_points, st.integers(1, 12))
def test_k_center_equals_its_twin(given_points: tuple[int, int, int], count: int):
    x = points(*given_points)
    count = min(count, len(x))
    assert k_center(x, count).tolist() == twins.k_center(x, count)


@given(st.integers(0, 1000), st.integers(1, 4))
def test_k_center_is_at_most_twice_the_best(seed: int, count: int):
    x = points(8, 2, seed)
    best = min(twins.radius(x, torch.tensor(s)) for s in combinations(range(8), count))
    assert twins.radius(x, k_center(x, count)) <= 2 * best + 1e-9


@pytest.mark.parametrize("pick", [herding, k_center])
def test_equal_images_are_not_taken_twice(pick):  # type: ignore[no-untyped-def]
    x = torch.zeros(5, 3)
    x[3:] = 1
    assert sorted(pick(x, 5).tolist()) == [0, 1, 2, 3, 4]


def test_herding_begins_with_the_nearest_and_then_makes_up_for_it():
    x = torch.tensor([[4.9], [4.8], [5.3]])  # around 5
    assert nearest_to_mean(x, 2).tolist() == [0, 1]
    assert herding(x, 2).tolist() == twins.herding(x, 2) == [0, 2]


def test_the_mean_of_all_that_herding_chose_comes_close_to_the_mean():
    x = points(200, 5, 0)
    errors = [(x[herding(x, count)].mean(0) - x.mean(0)).norm().item() for count in (1, 5, 25)]
    chance = (x[:25].mean(0) - x.mean(0)).norm().item()
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.2 * chance
