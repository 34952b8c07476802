"""Nearest real images: against a search image by image, and on sets of which it is known where they came from."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import replace

import numpy as np
import pytest
import torch

from potstill.applications.audit.neighbours import closeness, copies_in, neighbours_of, ssim
from potstill.synthetic import SyntheticSet
from tests.small import digits


def started(images_per_class: int = 2) -> tuple[SyntheticSet, list[int]]:
    """A set of real digits, and where they are."""
    train = digits().train
    chosen = torch.cat([members[:images_per_class] for members in train.class_index])
    return SyntheticSet.from_indices(train, chosen), sorted(chosen.tolist())


def test_neighbours_are_those_of_a_plain_search():
    data = digits()
    noise = SyntheticSet.from_noise(data.train, 1, torch.Generator().manual_seed(0))
    found = neighbours_of(noise, data.train, data.test)
    assert found is not None
    pixels, real = noise.pixels().double().flatten(1), data.train.images.double().flatten(1) / 255
    distances = (pixels[:, None] - real[None]).norm(dim=2)
    assert found.distances == pytest.approx(distances.min(1).values.tolist(), abs=1e-6)
    places = {pair.place: pair.real for pair in found.pairs}
    assert all(distances[place].argmin() == real_place for place, real_place in places.items())
    assert [pair.distance for pair in found.pairs] == sorted(found.distances)[: len(found.pairs)]
    assert len(found.held_out) == len(data.test)
    first = found.pairs[0]
    stored = np.frombuffer(b64decode(first.neighbour), np.uint8).reshape(found.shape)
    assert stored.tolist() == data.train.images[first.real].tolist()
    assert first.label == noise.class_names[noise.labels[first.place]]


def test_copies_are_closer_than_any_held_out_image():
    data = digits()
    copies, _ = started()
    found = neighbours_of(copies, data.train, data.test)
    assert found is not None
    assert found.distances == pytest.approx([0.0] * 20, abs=1e-5)
    assert (found.closer, found.ratio) == (1.0, pytest.approx(0, abs=1e-5))
    assert found.similarities == pytest.approx([1.0] * 20, abs=1e-5)


def test_other_real_images_are_as_far_away_as_held_out_ones():
    data = digits()
    half = len(data.test) // 2
    given = data.test.take(torch.arange(half))
    other = SyntheticSet.from_indices(given, torch.arange(half))
    found = neighbours_of(other, data.train, data.test.take(torch.arange(half, len(data.test))))
    assert found is not None
    assert found.ratio == pytest.approx(1, abs=0.1)
    assert found.closer < 0.1


@pytest.mark.parametrize(("noise", "kept", "barely"), [(0.0, 1.0, True), (0.1, 1.0, True), (3.0, 0.0, False)])
def test_how_far_a_set_has_moved(noise: float, kept: float, barely: bool):
    data = digits()
    start, _ = started()
    moved = start.images + noise * torch.randn(start.images.shape, generator=torch.Generator().manual_seed(1))
    found = neighbours_of(replace(start, images=moved), data.train, data.test, start)
    assert found is not None
    assert found.start is not None
    assert found.start.copied == 1
    assert found.start.kept == pytest.approx(kept, abs=0.3)
    assert found.start.barely is barely


def test_a_start_from_noise_is_no_copy():
    data = digits()
    noise = SyntheticSet.from_noise(data.train, 1, torch.Generator().manual_seed(0))
    found = neighbours_of(noise, data.train, data.test, noise)
    assert found is not None
    assert found.start is not None
    assert (found.start.copied, found.start.barely) == (0, False)


def test_closeness_is_the_distance_from_the_nearest_picture_of_the_class():
    train = digits().train
    noise = SyntheticSet.from_noise(train, 2, torch.Generator().manual_seed(0))
    found = closeness(noise, train)
    pixels, real = noise.pixels().double().flatten(1), train.images.double().flatten(1) / 255
    for place in range(0, len(train), 100):
        of_class = pixels[noise.labels == train.labels[place]]
        assert found[place] == pytest.approx(-(of_class - real[place]).norm(dim=1).min().item(), abs=1e-5)


def test_images_of_a_class_without_pictures_are_the_furthest():
    train = digits().train
    noise = SyntheticSet.from_noise(train, 1, torch.Generator().manual_seed(0))
    without = replace(noise, images=noise.images[1:], labels=noise.labels[1:])
    found, zeros = closeness(without, train), (train.labels == 0).numpy()
    assert np.isfinite(found).all()
    assert (found[zeros] == found.min()).all()


def test_real_images_in_a_set_are_recognised():
    train, (copies, places) = digits().train, started()
    assert copies_in(copies, train) == places
    changed = copies.images.clone()
    changed[0, 0, 0, 0] += 0.1
    assert len(copies_in(replace(copies, images=changed), train)) == len(places) - 1


def test_pictures_of_a_formation_are_compared():
    data = digits()
    formed = SyntheticSet.from_noise(data.train, 4, torch.Generator().manual_seed(0)).formed(2)
    found = neighbours_of(formed, data.train, data.test)
    assert found is not None
    assert len(found.distances) == formed.pictures == 40


def test_without_held_out_images_there_is_nothing_to_compare_with():
    data = digits()
    assert neighbours_of(started()[0], data.train, data.test.take(torch.empty(0, dtype=torch.int64))) is None


def test_the_similarity_of_equal_and_of_flat_images():
    images = torch.rand(3, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ssim(images, images), torch.ones(3))
    # Flat images have no variance: what remains is the comparison of means.
    a, b = torch.full((1, 12, 12), 0.2), torch.full((1, 12, 12), 0.6)
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert ssim(a, b).item() == pytest.approx(expected, abs=1e-4)


def test_the_similarity_in_one_window_by_hand():
    """An image no larger than the window has one position."""
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.rand(1, 8, 8, generator=generator, dtype=torch.float64) for _ in range(2))
    places = np.arange(8) - 3.5
    taps = np.exp(-(places**2) / (2 * 1.5**2))
    weights = np.outer(taps, taps) / taps.sum() ** 2
    a, b = x[0].numpy(), y[0].numpy()
    mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
    var_a, var_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
    covariance = (weights * (a - mean_a) * (b - mean_b)).sum()
    expected = (2 * mean_a * mean_b + 1e-4) * (2 * covariance + 9e-4)
    expected /= (mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4)
    assert ssim(x, y).item() == pytest.approx(expected)


def test_the_search_in_parts_finds_what_one_pass_finds(monkeypatch: pytest.MonkeyPatch):
    data = digits()
    noise = SyntheticSet.from_noise(data.train, 2, torch.Generator().manual_seed(0))
    whole = neighbours_of(noise, data.train, data.test)
    monkeypatch.setattr("potstill.applications.audit.neighbours.PART", 64)
    assert neighbours_of(noise, data.train, data.test) == whole
