"""Corruptions: in the range of pixels, repeatable, worse with each severity, and what their names say."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from potstill.evaluation.corruptions import corrupted
from potstill.schema.attacks import CORRUPTIONS, SEVERITIES, Corruption


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def strokes() -> Tensor:
    """Grey images with a bright stroke."""
    images = torch.full((40, 2, 12, 12), 0.3)
    images[:, :, 2:10, 5:7] = 0.8
    return images


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_each_severity_changes_images_more(kind: Corruption):
    images = strokes()
    kept = images.clone()
    changes = []
    for severity in SEVERITIES:
        changed = corrupted(images, kind, severity, generator())
        assert changed.shape == images.shape
        assert changed.min() >= 0
        assert changed.max() <= 1
        changes.append((changed - images).abs().mean().item())
    assert changes == sorted(changes)
    assert 0.005 < changes[0] < changes[-1]
    assert images.equal(kept), "the images themselves stay"


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_seed_repeats_it(kind: Corruption):
    images = strokes()
    assert corrupted(images, kind, 3, generator(1)).equal(corrupted(images, kind, 3, generator(1)))
    if kind not in ("blur", "contrast", "brightness"):
        assert not corrupted(images, kind, 3, generator(1)).equal(corrupted(images, kind, 3, generator(2)))


def test_noise_has_the_mean_and_spread_that_it_should_have():
    grey = torch.full((1000, 1, 8, 8), 0.5)
    gaussian = corrupted(grey, "gaussian noise", 2, generator())
    assert gaussian.mean().item() == pytest.approx(0.5, abs=0.003)
    assert gaussian.std().item() == pytest.approx(0.1, abs=0.003)
    shot = corrupted(grey, "shot noise", 1, generator())
    assert shot.std().item() == pytest.approx((0.5 / 60) ** 0.5, abs=0.003)
    impulse = corrupted(grey, "impulse noise", 3, generator())
    for value in (0.0, 1.0):
        assert (impulse == value).double().mean().item() == pytest.approx(0.05, abs=0.005)


def test_blur_keeps_what_is_even_and_flattens_what_is_not():
    even = torch.full((2, 3, 12, 12), 0.4)
    assert torch.allclose(corrupted(even, "blur", 5, generator()), even)
    images = strokes()
    blurred = corrupted(images, "blur", 5, generator())
    assert blurred.std() < 0.7 * images.std()
    assert blurred[:, 0].equal(blurred[:, 1])


def test_contrast_goes_towards_the_mean_of_each_image():
    images = strokes()
    changed = corrupted(images, "contrast", 5, generator())
    mean = images.mean((1, 2, 3), keepdim=True)
    assert torch.allclose(changed, mean + 0.15 * (images - mean))


def test_images_are_moved_by_a_share_of_their_size_in_every_direction():
    images = torch.zeros(200, 1, 40, 40)
    images[:, :, 19:21, 19:21] = 1
    moved = corrupted(images, "translation", 3, generator())[:, 0]
    at = torch.arange(40.0) - 19.5
    mass = moved.sum((1, 2))
    x, y = (moved.sum(1) * at).sum(1) / mass, (moved.sum(2) * at).sum(1) / mass
    assert torch.allclose((x**2 + y**2).sqrt(), torch.full((200,), 4.0), atol=0.05)
    assert x.mean().abs() < 0.5
    assert y.mean().abs() < 0.5


def test_images_are_turned_by_an_angle_in_both_senses():
    images = torch.zeros(50, 1, 41, 41)
    images[:, :, 20, 36] = 1
    turned = corrupted(images, "rotation", 5, generator())[:, 0]
    at = torch.arange(41.0) - 20
    mass = turned.sum((1, 2))
    x, y = (turned.sum(1) * at).sum(1) / mass, (turned.sum(2) * at).sum(1) / mass
    angles = torch.atan2(y, x).rad2deg()
    assert torch.allclose(angles.abs(), torch.full((50,), 45.0), atol=1.0)
    assert 0.2 < (angles > 0).double().mean() < 0.8
