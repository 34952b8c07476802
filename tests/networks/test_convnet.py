from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from potstill.networks import ImageShape
from potstill.networks.convnet import default_depth, largest_depth
from potstill.networks.spec import Activation, Norm
from potstill.runtime.errors import UserError

# The 22 candidates of the coursework's architecture search, by the names it gives them.
CANDIDATES = {
    **{f"D{depth}": f"depth={depth}" for depth in range(1, 6)},
    **{f"W{width}": f"width={width}" for width in (32, 64, 128, 256)},
    "AS": "activation=sigmoid",
    "AR": "activation=relu",
    "AL": "activation=leaky",
    "ASwish": "activation=swish",
    "ASwishBN": "activation=swish:norm=batch",
    "NN": "norm=none",
    "BN": "norm=batch",
    "LN": "norm=layer",
    "IN": "norm=instance",
    "GN": "norm=group",
    "NP": "pooling=none",
    "MP": "pooling=max",
    "AP": "pooling=avg",
}


@pytest.mark.parametrize(
    ("spec", "shape", "classes", "parameters"),
    [
        # 3x3 convolutions with bias, instance norms, classifier of 128 x 4 x 4 features.
        ("convnet", (1, 28, 28), 10, (1 * 9 + 1) * 128 + 2 * (128 * 9 + 1) * 128 + 3 * 256 + 20490),
        ("convnet", (3, 32, 32), 10, (3 * 9 + 1) * 128 + 2 * (128 * 9 + 1) * 128 + 3 * 256 + 20490),
        # ConvNet7 for MHIST: 224 pixels, halved seven times, leave one.
        ("convnet", (3, 224, 224), 2, (3 * 9 + 1) * 128 + 6 * (128 * 9 + 1) * 128 + 7 * 256 + 129 * 2),
        # Layer norm learns as much for every pixel of 32x32, 16x16 and 8x8.
        (
            "convnet:norm=layer",
            (1, 28, 28),
            10,
            1280 + 2 * 147584 + 2 * 128 * (32 * 32 + 16 * 16 + 8 * 8) + 20490,
        ),
    ],
)
def test_parameter_count(spec, shape, classes, parameters, build, count_parameters):
    assert count_parameters(build(spec, shape, classes)) == parameters


def test_parameter_counts_of_the_literature(build, count_parameters):
    assert count_parameters(build("convnet", (1, 28, 28))) == 317_706
    assert count_parameters(build("convnet", (3, 32, 32))) == 320_010


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 28, 28), (3, 32, 32), (2, 16, 24)], ids=str)
def test_agrees_with_its_plain_twin(shape, build, draw):
    network, images = build("convnet:width=8", shape), draw(3, shape)
    weights = list(network.parameters())
    features, maps = images, []
    for block in range(3):
        convolution, bias, scale, shift = weights[4 * block : 4 * block + 4]
        padding = 3 if block == 0 and shape[1] == 28 else 1
        features = F.conv2d(features, convolution, bias, padding=padding)
        mean = features.mean((2, 3), keepdim=True)
        deviation = (features.var((2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
        features = scale[:, None, None] * (features - mean) / deviation + shift[:, None, None]
        maps.append(F.relu(features))
        features = F.avg_pool2d(maps[-1], 2)
    logits = features.flatten(1) @ weights[-2].T + weights[-1]

    seen = network.observe(images)
    torch.testing.assert_close(seen.maps, tuple(maps))
    torch.testing.assert_close(seen.embedding, features.flatten(1))
    torch.testing.assert_close(seen.logits, logits)


@pytest.mark.parametrize("options", CANDIDATES.values(), ids=CANDIDATES.keys())
def test_candidates_of_the_architecture_search_classify_digits(options, build, draw):
    network = build(f"convnet:{options}")
    with torch.no_grad():
        seen = network.observe(draw(2))
    assert seen.logits.shape == (2, 10)
    assert seen.logits.isfinite().all()
    assert len(seen.maps) == (int(options[-1]) if options.startswith("depth") else 3)


def test_candidates_are_the_coursework_s_22():
    assert len(CANDIDATES) == 22


@pytest.mark.parametrize(
    ("side", "depth"),
    [(28, 3), (32, 3), (47, 3), (48, 4), (64, 4), (95, 4), (96, 5), (128, 5), (191, 5), (192, 7), (224, 7)],
)
def test_depth_follows_the_image(side, depth):
    assert default_depth(ImageShape(3, side, side)) == depth
    assert default_depth(ImageShape(3, 300, side)) == depth


def test_digits_of_8x8_end_in_one_pixel(build, draw):
    network = build("convnet", (1, 8, 8))
    assert network.embedding_size == 128
    assert [tuple(maps.shape[2:]) for maps in network.observe(draw(2, (1, 8, 8))).maps] == [
        (8, 8),
        (4, 4),
        (2, 2),
    ]


def test_grey_and_colour_of_28_pixels_are_padded_to_32(build, draw):
    for channels in (1, 3):
        seen = build("convnet", (channels, 28, 28)).observe(draw(2, (channels, 28, 28)))
        assert seen.maps[0].shape[2:] == (32, 32)
        assert seen.embedding.shape == (2, 2048)


def test_without_pooling_the_maps_keep_their_size(build, draw):
    network = build("convnet:pooling=none:width=4:depth=6", (1, 9, 7))
    assert all(maps.shape[2:] == (9, 7) for maps in network.observe(draw(2, (1, 9, 7))).maps)


@pytest.mark.parametrize(("side", "depth"), [(8, 3), (9, 3), (28, 5), (32, 5), (64, 6), (224, 7)])
def test_image_too_small_for_the_depth(side, depth, build):
    assert largest_depth(ImageShape(1, side, side)) == depth
    build(f"convnet:width=4:depth={depth}", (1, side, side))
    too_small = f"{side}x{side} pixels are too small.*depth {depth + 1}; use a depth of at most {depth}"
    with pytest.raises(UserError, match=too_small):
        build(f"convnet:width=4:depth={depth + 1}", (1, side, side))


def test_a_depth_too_many_is_refused_for_the_shorter_side(build):
    with pytest.raises(UserError, match="at most 3"):
        build("convnet:depth=4", (1, 64, 8))


@pytest.mark.parametrize("norm", get_args(Norm))
@pytest.mark.parametrize("activation", get_args(Activation))
def test_gradient_of_the_images_is_exact(norm, activation, build, draw):
    network = build(f"convnet:depth=2:width=4:norm={norm}:activation={activation}", (2, 4, 4), 3).double()
    images = draw(3, (2, 4, 4)).double().requires_grad_()
    assert gradcheck(lambda x: network.observe(x).maps[0], images)
    assert gradcheck(network, images)


@pytest.mark.parametrize("norm", ["none", "instance", "group", "layer"])
def test_second_derivative_is_exact(norm, build, draw):
    """Gradient matching differentiates a gradient."""
    network = build(f"convnet:depth=1:width=4:activation=swish:norm={norm}", (1, 4, 4), 2).double()
    assert gradgradcheck(network, draw(2, (1, 4, 4)).double().requires_grad_())
