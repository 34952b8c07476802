"""Pixels: their range, and images with hardly any contrast."""

from __future__ import annotations

import pytest
import torch

from potstill.inspection.pixels import EMPTY_BELOW, FAINT_BELOW, examine, is_faint
from potstill.schema.inspection import Place
from tests.inspection.small_datasets import halves, noise, split


def test_the_range_is_that_of_all_images():
    images = noise(4).clamp(20, 200)
    images[1, 0, 0, 0], images[3, 0, 1, 1] = 7, 222
    found = examine("train", split(images, halves(4)))
    assert (found.lowest, found.highest, found.empty) == (7, 222, 0)


@pytest.mark.parametrize("shade", [0, 100, 255 - EMPTY_BELOW])
def test_an_image_of_one_shade_is_empty_and_one_step_more_is_not(shade: int):
    images = noise(4)
    images[1:3] = shade
    images[1, 0, 2, 2] = shade + EMPTY_BELOW - 1
    images[2, 0, 2, 2] = shade + EMPTY_BELOW
    found = examine("test", split(images, halves(4)))
    assert found.empty == 1
    assert found.examples == (Place(split="test", index=1, label=1),)


def test_an_image_of_one_colour_is_empty_and_one_with_contrast_in_a_channel_is_not():
    images = noise(3, shape=(3, 4, 4))
    images[:2] = torch.tensor([250, 10, 128], dtype=torch.uint8)[:, None, None]
    images[1, 2, 0, 0] = 0
    assert [place.index for place in examine("train", split(images, halves(3))).examples] == [0]


def test_images_beyond_the_first_block_are_looked_at(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("potstill.data.labeled_images.BLOCK_BYTES", 16)
    images = noise(9, shape=(1, 2, 2)) // 2
    images[-1] = 255
    found = examine("train", split(images, halves(9)))
    assert found.highest == 255
    assert 8 in [place.index for place in found.examples]


@pytest.mark.parametrize(("values", "faint"), [((0, 14), True), ((200, 255), True), ((0, FAINT_BELOW), False)])
def test_a_split_is_faint_if_it_uses_little_of_the_range(values: tuple[int, int], faint: bool):
    images = noise(4).clamp(*values)
    images[0, 0, 0, 0], images[0, 0, 0, 1] = values
    assert is_faint(examine("train", split(images, halves(4)))) == faint
