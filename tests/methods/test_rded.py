"""RDED puts the crops together that a teacher finds easiest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from potstill.methods import RDED
from potstill.methods.rded import random_crops
from potstill.networks import ImageShape, build_network
from potstill.networks.weights import WeightsFile, install, weight_files
from potstill.runtime.errors import UserError
from potstill.synthetic import put_together, tile_size
from tests.small import NETWORK, digits, few, problem, small_experts


def entropies(images: torch.Tensor, label: int) -> torch.Tensor:
    """The cross-entropy under the first of the small experts, written out."""
    path = weight_files(Path(small_experts()))[0]
    network = build_network(NETWORK, ImageShape(1, 8, 8), 10, torch.Generator())
    install(network, WeightsFile(path).read(), path)
    with torch.no_grad():
        return -F.log_softmax(network.eval()(images), 1)[:, label]


@pytest.mark.parametrize("formation", [1, 2, 3])
def test_every_tile_is_a_crop_of_a_real_image_of_its_class(formation: int):
    given = problem(ipc=2, formation=formation)
    images = RDED(features=small_experts(), candidates=60).prepare(given)["images"]
    height, width = tile_size(8, 8, formation)
    for image, label in zip(images, given.start.labels.tolist(), strict=True):
        real = given.real.normalised(given.real.class_index[label])
        crops = real.unfold(2, height, 1).unfold(3, width, 1).flatten(2, 3).transpose(1, 2).flatten(0, 1)
        for row in range(formation):
            for column in range(formation):
                tile = image[:, row * height : (row + 1) * height, column * width : (column + 1) * width]
                shown = crops[:, :, : tile.shape[1], : tile.shape[2]]
                assert (shown == tile).flatten(1).all(1).any()


def test_without_a_formation_they_are_the_easiest_images():
    given = problem(ipc=3)
    images = RDED(features=small_experts(), candidates=10**6).prepare(given)["images"]
    for label, of_class in enumerate(images.chunk(10)):
        real = given.real.normalised(given.real.class_index[label])
        easiest = entropies(real, label).sort().values[:3]
        torch.testing.assert_close(entropies(of_class, label), easiest, rtol=1e-3, atol=1e-5)


def test_chosen_crops_are_easier_than_random_ones():
    given = problem(ipc=2, formation=2)
    chosen = given.start.formed(1)
    chosen = replace(chosen, images=RDED(features=small_experts()).prepare(given)["images"], formation=2).decoded()
    pictures, lower = chosen.images.chunk(10), 0
    for label, own in enumerate(pictures):
        real = given.real.normalised(given.real.class_index[label])
        crops = random_crops(real, (4, 4), torch.Generator().manual_seed(0))
        enlarged = F.interpolate(crops, size=(8, 8), mode="bilinear", align_corners=False)
        lower += int(entropies(own, label).mean() < entropies(enlarged, label).mean())
    assert lower == 10


def test_more_crops_find_easier_ones():
    given = problem(ipc=1, formation=2)
    means = []
    for crops in (1, 8):
        images = RDED(features=small_experts(), crops=crops).prepare(given)["images"]
        pictures = replace(given.start, images=images).decoded().images.chunk(10)
        means.append(torch.stack([entropies(own, label).mean() for label, own in enumerate(pictures)]).mean())
    assert means[1] < means[0]


def test_random_crops_are_everywhere_and_inside():
    images = torch.arange(64.0).view(1, 1, 8, 8).expand(500, 1, 8, 8)
    crops = random_crops(images, (3, 5), torch.Generator().manual_seed(0))
    assert crops.shape == (500, 1, 3, 5)
    assert set(crops[:, 0, 0, 0].int().tolist()) == {8 * top + left for top in range(6) for left in range(4)}


def test_tiles_are_put_together_row_by_row():
    tiles = torch.stack([torch.full((1, 2, 2), float(number)) for number in range(4)])
    assert put_together(tiles, 2, (4, 4))[0, 0, ::2, ::2].tolist() == [[0, 1], [2, 3]]
    assert put_together(tiles, 2, (3, 3))[0, 0].tolist() == [[0, 0, 1], [0, 0, 1], [2, 2, 3]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"features": "pixels"}, "no teacher"),
        ({"candidates": 2}, "`candidates=2` are fewer than the 3 pictures"),
        ({"crops": 0}, "is too small"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, object], message: str):
    with pytest.raises(UserError, match=message):
        RDED(**{"features": small_experts(), **settings}).prepare(problem(ipc=3))  # type: ignore[arg-type]


def test_too_few_images_of_a_class_are_refused():
    given = problem(real=few(digits().train, (20,) * 10), ipc=2)
    with pytest.raises(UserError, match="fewer than 2 per class"):
        RDED(features="trained").prepare(replace(given, real=few(digits().train, (20,) * 9 + (1,))))
