"""Herding and k-center beside their twins; the mean of a class, k-means, and the images nearest to them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from potstill.experts.feature_source import Pixels
from potstill.runtime.streams import Streams
from potstill.selection import SELECTIONS
from potstill.selection.geometry import (
    hardest,
    k_means_centres,
    k_means_nearest,
    nearest_to_mean,
)
from potstill.selection.greedy import herding, k_center
from tests.selection import twins
from tests.selection.points import points, some_points
from tests.small import digits, few


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


@pytest.mark.parametrize("pick", [herding, k_center, nearest_to_mean, lambda x, n: k_means_nearest(x, n, 0)])
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


@given(some_points, st.integers(1, 12))
def test_none_is_nearer_to_the_mean_than_the_nearest(given_points: tuple[int, int, int], count: int):
    x = points(*given_points)
    count = min(count, len(x))
    away = (x - x.mean(0)).norm(dim=1)
    chosen = nearest_to_mean(x, count)
    torch.testing.assert_close(away[chosen], away.sort().values[:count])
    assert len(chosen.unique()) == count


def test_k_means_equals_scikit_learns():
    x = points(60, 3, 0).float()
    oracle = KMeans(n_clusters=4, n_init=4, random_state=7).fit(x.numpy())  # type: ignore[arg-type]
    centres = k_means_centres(x, 4, 7)
    np.testing.assert_allclose(centres.numpy(), oracle.cluster_centers_, rtol=1e-5, atol=1e-6)
    nearest = k_means_nearest(x, 4, 7)
    assert nearest.tolist() == [int((x - centre).norm(dim=1).argmin()) for centre in centres]


def test_the_average_is_the_mean_image_of_each_class():
    real = few(digits().train, (4, 3, 5))
    images = SELECTIONS["average"].images(Pixels(real), 2, Streams(0))
    for label in range(3):
        mean = real.normalised(real.class_index[label]).mean(0)
        torch.testing.assert_close(images[2 * label : 2 * label + 2], mean.expand(2, 1, 8, 8))


def test_the_centre_of_one_cluster_is_the_average():
    real = few(digits().train, (10, 12))
    centres, means = (SELECTIONS[name].images(Pixels(real), 1, Streams(0)) for name in ("k-means", "average"))
    torch.testing.assert_close(centres, means, rtol=1e-4, atol=1e-5)


def test_the_hardest_come_first_and_of_equals_the_first():
    assert hardest(torch.tensor([1.0, 3.0, 2.0, 3.0]), 3).tolist() == [1, 3, 2]
