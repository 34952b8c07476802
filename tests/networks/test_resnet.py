from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from potstill.networks import ImageShape
from potstill.networks.resnet import BasicBlock

# Convolutions without bias and two numbers a channel for each norm; a stage that changes width has a shortcut.
STAGES = (
    (4 * 64 * 64 * 9 + 4 * 2 * 64)
    + (64 * 128 * 9 + 3 * 128 * 128 * 9 + 64 * 128 + 5 * 2 * 128)
    + (128 * 256 * 9 + 3 * 256 * 256 * 9 + 128 * 256 + 5 * 2 * 256)
    + (256 * 512 * 9 + 3 * 512 * 512 * 9 + 256 * 512 + 5 * 2 * 512)
)


@pytest.mark.parametrize(
    ("spec", "shape", "classes", "stem", "parameters"),
    [
        ("resnet18", (3, 32, 32), 10, 3 * 64 * 9 + 128, 11_173_962),
        ("resnet18:norm=batch", (3, 32, 32), 10, 3 * 64 * 9 + 128, 11_173_962),
        ("resnet18", (1, 28, 28), 10, 64 * 9 + 128, 11_172_810),
        # The network of the ImageNet paper.
        ("resnet18:norm=batch", (3, 224, 224), 1000, 3 * 64 * 49 + 128, 11_689_512),
    ],
)
def test_parameter_count(spec, shape, classes, stem, parameters, build, count_parameters):
    by_hand = stem + STAGES + (512 + 1) * classes
    assert count_parameters(build(spec, shape, classes)) == by_hand == parameters


@pytest.mark.parametrize(
    ("spec", "side", "sides"),
    [
        ("resnet18:width=2", 32, [32, 32, 16, 8, 4]),
        ("resnet18:width=2", 28, [28, 28, 14, 7, 4]),
        ("resnet18:width=2", 8, [8, 8, 4, 2, 2]),
        ("resnet18:width=2", 95, [95, 95, 48, 24, 12]),
        ("resnet18:width=2", 96, [48, 24, 12, 6, 3]),
        ("resnet18:width=2:stem=small", 96, [96, 96, 48, 24, 12]),
        ("resnet18:width=2:stem=large", 64, [32, 16, 8, 4, 2]),
    ],
)
def test_sides_of_the_maps(spec, side, sides, build, draw):
    network = build(spec, (1, side, side))
    seen = network.observe(draw(1, (1, side, side)))
    assert [maps.shape[2] for maps in seen.maps] == sides
    assert [maps.shape[1] for maps in seen.maps] == [2, 2, 4, 8, 16]
    assert seen.embedding.shape == (1, 16)


def test_embedding_is_the_mean_of_the_last_maps(build, draw):
    seen = build("resnet18:width=2").observe(draw(2))
    torch.testing.assert_close(seen.embedding, seen.maps[-1].mean((2, 3)))


def test_basic_block_adds_its_input(draw):
    shape = ImageShape(4, 6, 6)
    block = BasicBlock(shape, shape, "instance", stride=1)
    for parameter in block.parameters():
        torch.nn.init.zeros_(parameter)
    maps = draw(2, (4, 6, 6))
    torch.testing.assert_close(block(maps), F.relu(maps))


@pytest.mark.parametrize(("channels", "stride", "side"), [(4, 2, 3), (8, 1, 6), (8, 2, 3)])
def test_basic_block_projects_where_the_shape_changes(channels, stride, side, draw):
    after = ImageShape(channels, side, side)
    block = BasicBlock(ImageShape(4, 6, 6), after, "instance", stride)
    for parameter in block.residual.parameters():
        torch.nn.init.zeros_(parameter)
    maps = draw(2, (4, 6, 6))
    assert block(maps).shape == (2, channels, side, side)
    torch.testing.assert_close(block(maps), F.relu(block.shortcut(maps)))
