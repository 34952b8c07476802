"""MLP, LeNet-5, AlexNet and VGG-11."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F


@pytest.mark.parametrize(
    ("spec", "shape", "parameters"),
    [
        ("mlp", (1, 28, 28), 784 * 128 + 128 + 128 * 128 + 128 + 128 * 10 + 10),
        ("mlp", (3, 32, 32), 3072 * 128 + 128 + 128 * 128 + 128 + 128 * 10 + 10),
        ("mlp:depth=1:width=5", (1, 2, 3), 6 * 5 + 5 + 5 * 10 + 10),
    ],
)
def test_mlp_parameter_count(spec, shape, parameters, build, count_parameters):
    assert count_parameters(build(spec, shape)) == parameters


def test_mlp_agrees_with_its_plain_twin(build, draw):
    network, images = build("mlp:depth=2:width=6", (2, 4, 3)), draw(5, (2, 4, 3))
    first, bias1, second, bias2, last, bias3 = network.parameters()
    one = F.relu(images.flatten(1) @ first.T + bias1)
    two = F.relu(one @ second.T + bias2)
    seen = network.observe(images)
    torch.testing.assert_close(seen.maps, (one[:, :, None, None], two[:, :, None, None]))
    torch.testing.assert_close(seen.embedding, two)
    torch.testing.assert_close(seen.logits, two @ last.T + bias3)


def test_mlp_reads_channels_last_images_in_the_same_order(build, draw):
    network, images = build("mlp", (3, 8, 8)), draw(2, (3, 8, 8))
    torch.testing.assert_close(network(images.to(memory_format=torch.channels_last)), network(images))


LENET_CONVOLUTIONS = {1: 6 * 25 + 6, 3: 6 * 75 + 6}
LENET_SECOND = 16 * 6 * 25 + 16
LENET_LAST_LAYERS = 120 * 84 + 84 + 84 * 10 + 10


@pytest.mark.parametrize(
    ("shape", "features", "parameters"),
    [
        ((1, 28, 28), 16 * 5 * 5, 61_706),
        ((3, 32, 32), 16 * 5 * 5, 62_006),
        ((3, 28, 28), 16 * 5 * 5, 62_006),
        ((1, 8, 8), 16 * 2 * 2, 21_386),
    ],
)
def test_lenet_parameter_count(shape, features, parameters, build, count_parameters):
    by_hand = LENET_CONVOLUTIONS[shape[0]] + LENET_SECOND + features * 120 + 120 + LENET_LAST_LAYERS
    assert count_parameters(build("lenet", shape)) == by_hand == parameters


def test_lenet_digits_give_the_maps_of_the_paper(build, draw):
    seen = build("lenet").observe(draw(2))
    assert [tuple(maps.shape[1:]) for maps in seen.maps] == [(6, 28, 28), (16, 10, 10)]
    assert seen.embedding.shape == (2, 84)


ALEXNET_LATER_CONVOLUTIONS = (
    (128 * 25 + 1) * 192 + (192 * 9 + 1) * 256 + (256 * 9 + 1) * 192 + (192 * 9 + 1) * 192
)  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "features", "parameters"),
    [
        ((1, 28, 28), 192 * 4 * 4, 1_865_802),
        ((3, 28, 28), 192 * 4 * 4, 1_872_202),
        ((3, 32, 32), 192 * 4 * 4, 1_872_202),
        ((1, 8, 8), 192 * 1 * 1, 1_837_002),
    ],
)
def test_alexnet_parameter_count(shape, features, parameters, build, count_parameters):
    by_hand = (shape[0] * 25 + 1) * 128 + ALEXNET_LATER_CONVOLUTIONS + features * 10 + 10
    assert count_parameters(build("alexnet", shape)) == by_hand == parameters


def test_alexnet_norm_adds_a_scale_and_a_shift_a_channel(build, count_parameters):
    added = count_parameters(build("alexnet:norm=instance")) - count_parameters(build("alexnet"))
    assert added == 2 * (128 + 192 + 256 + 192 + 192)


def test_alexnet_pools_after_the_first_the_second_and_the_last_convolution(build, draw):
    seen = build("alexnet").observe(draw(1))
    assert [maps.shape[2] for maps in seen.maps] == [32, 16, 8, 8, 8]
    assert [maps.shape[1] for maps in seen.maps] == [128, 192, 256, 192, 192]
    assert seen.embedding.shape == (1, 192 * 4 * 4)


VGG_LATER_CONVOLUTIONS = (
    (64 * 9 + 1) * 128 + (128 * 9 + 1) * 256 + (256 * 9 + 1) * 256 + (256 * 9 + 1) * 512 + 3 * (512 * 9 + 1) * 512
)
VGG_NORMS = 2 * (64 + 128 + 2 * 256 + 4 * 512)


@pytest.mark.parametrize(
    ("spec", "shape", "norms", "parameters"),
    [
        ("vgg11", (3, 32, 32), VGG_NORMS, 9_231_114),
        ("vgg11:norm=batch", (3, 32, 32), VGG_NORMS, 9_231_114),
        ("vgg11:norm=none", (3, 32, 32), 0, 9_225_610),
        ("vgg11", (1, 28, 28), VGG_NORMS, 9_229_962),
    ],
)
def test_vgg_parameter_count(spec, shape, norms, parameters, build, count_parameters):
    by_hand = (shape[0] * 9 + 1) * 64 + VGG_LATER_CONVOLUTIONS + norms + 512 * 10 + 10
    assert count_parameters(build(spec, shape)) == by_hand == parameters


@pytest.mark.parametrize(
    ("side", "sides", "features"),
    [
        (32, [32, 16, 8, 8, 4, 4, 2, 2], 1),
        (28, [32, 16, 8, 8, 4, 4, 2, 2], 1),
        (8, [8, 4, 2, 2, 2, 2, 2, 2], 1),
        (64, [64, 32, 16, 16, 8, 8, 4, 4], 4),
    ],
)
def test_vgg_no_map_of_one_pixel_is_normalised(side, sides, features, build, draw):
    seen = build("vgg11:width=2", (1, side, side)).observe(draw(2, (1, side, side)))
    assert [maps.shape[2] for maps in seen.maps] == sides
    assert [maps.shape[1] for maps in seen.maps] == [2, 4, 8, 8, 16, 16, 16, 16]
    assert seen.embedding.shape == (2, 16 * features)
