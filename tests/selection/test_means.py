"""The mean of a class, k-means, and the images nearest to them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from potstill.experts.feature_source import Pixels
from potstill.runtime.streams import Streams
from potstill.selection import SELECTIONS
from potstill.selection.means import k_means_centres, k_means_nearest, nearest_to_mean
from tests.selection.points import points, some_points
from tests.small import digits, few


@pytest.mark.parametrize("pick", [nearest_to_mean, lambda x, n: k_means_nearest(x, n, 0)])
def test_equal_images_are_not_taken_twice(pick):  # type: ignore[no-untyped-def]
    x = torch.zeros(5, 3)
    x[3:] = 1
    assert sorted(pick(x, 5).tolist()) == [0, 1, 2, 3, 4]


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
