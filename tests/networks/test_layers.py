from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import nn

from potstill.networks import ImageShape
from potstill.networks.layers import (
    Activation,
    AveragePooling,
    Convolution,
    ConvStack,
    MaxPooling,
    Norm,
    Pooling,
    filling_padding,
    make_activation,
    make_norm,
    make_pooling,
)
from potstill.runtime.errors import UserError


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (1, 1, 7, 4), (2, 2, 3, 9), (1, 2, 2, 2)])
@pytest.mark.parametrize(
    "make",
    [AveragePooling, MaxPooling, lambda: Convolution(1, 4, 3, padding=1)],
    ids=["average", "largest", "convolution"],
)
def test_compiled_layers_and_their_gradients_are_those_of_pytorch(make, shape):
    torch._dynamo.reset()
    layer = make().double()
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = (x[:, :1] if isinstance(layer, Convolution) else x).clone().requires_grad_()
    inputs = [x, *layer.parameters()]
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    for found, expected in zip(_with_gradients(compiled, inputs), _with_gradients(layer, inputs), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def _with_gradients(layer, inputs):
    out = layer(inputs[0])
    return [out, *torch.autograd.grad((out * torch.arange(out.numel()).reshape(out.shape)).sum(), inputs)]


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("relu", lambda x: x.clamp(min=0)),
        ("sigmoid", lambda x: 1 / (1 + (-x).exp())),
        ("leaky", lambda x: torch.where(x > 0, x, 0.01 * x)),
        ("swish", lambda x: x / (1 + (-x).exp())),
    ],
)
def test_activations_follow_their_formulas(name, formula):
    x = torch.linspace(-3, 3, 25)
    torch.testing.assert_close(make_activation(name)(x.clone()), formula(x))


@pytest.mark.parametrize(
    ("name", "together"),
    [
        # The axes of (N, groups, channels of the group, H, W) over which mean and variance are taken.
        ("batch", lambda x: (x.unsqueeze(2), (0, 3, 4))),
        ("layer", lambda x: (x.unsqueeze(2), (1, 3, 4))),
        ("instance", lambda x: (x.unsqueeze(2), (3, 4))),
        ("group", lambda x: (x.unflatten(1, (4, 2)), (2, 3, 4))),
    ],
)
def test_norms_standardise_over_their_axes(name, together, draw):
    maps = 2 * draw(5, (8, 6, 4)) + 1
    grouped, axes = together(maps)
    variance, mean = torch.var_mean(grouped, axes, correction=0, keepdim=True)
    expected = ((grouped - mean) / (variance + 1e-5).sqrt()).reshape(maps.shape)
    torch.testing.assert_close(make_norm(name, ImageShape(8, 6, 4))(maps), expected)


@pytest.mark.parametrize(
    ("name", "learned"),
    [("none", 0), ("batch", 2 * 8), ("layer", 2 * 8 * 6 * 4), ("instance", 2 * 8), ("group", 2 * 8)],
)
def test_norms_learn_scale_and_shift(name, learned):
    norm = make_norm(name, ImageShape(8, 6, 4))
    assert sum(parameter.numel() for parameter in norm.parameters()) == learned


def test_group_norm_says_which_widths_it_takes():
    with pytest.raises(UserError, match=r"cannot divide 6 channels.*multiple of 4"):
        make_norm("group", ImageShape(6, 8, 8))


def test_poolings_halve():
    maps = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])
    assert make_pooling("max")(maps).item() == 6
    assert make_pooling("avg")(maps).item() == 3
    assert make_pooling("none")(maps) is maps


@pytest.mark.parametrize(
    ("sides", "kernel", "halvings", "padding"),
    [
        ((28, 28), 3, 3, (3, 3)),  # 4 pixels short of 32: filled
        ((28, 28), 5, 3, (4, 4)),
        ((28, 20), 3, 3, (3, 3)),  # 20 becomes 24
        ((30, 32), 3, 3, (2, 1)),  # each side by itself
        ((28, 28), 3, 2, (1, 1)),  # 28 can be halved twice
        ((32, 32), 3, 3, (1, 1)),
        ((31, 29), 3, 3, (1, 1)),  # odd: cannot be filled evenly
        ((26, 26), 3, 3, (1, 1)),  # 6 pixels short: too many
        ((28, 28), 3, 0, (1, 1)),
    ],
)
def test_padding_fills_sides_that_nearly_divide(sides, kernel, halvings, padding):
    assert filling_padding(ImageShape(1, *sides), kernel, halvings) == padding


@pytest.mark.parametrize("activation", get_args(Activation))
@pytest.mark.parametrize("norm", get_args(Norm))
@pytest.mark.parametrize("pooling", get_args(Pooling))
def test_stack_knows_the_shape_of_its_maps(activation, norm, pooling, draw):
    stack = ConvStack(ImageShape(3, 11, 9))
    stack.convolve(8, kernel=5, padding=(1, 0), norm=norm, activation=activation)
    stack.pool(pooling)
    stack.convolve(4, norm=norm, activation=activation)
    features = draw(2, (3, 11, 9))
    for block, pool in stack.blocks:
        features = pool(block(features))
    assert tuple(features.shape[1:]) == (stack.shape.channels, stack.shape.height, stack.shape.width)


@pytest.mark.parametrize(("side", "smallest", "after"), [(4, 2, 2), (3, 2, 3), (3, 1, 1), (1, 1, 1)])
def test_stack_leaves_out_poolings_that_would_shrink_maps_too_far(side, smallest, after):
    stack = ConvStack(ImageShape(1, side, 8))
    stack.convolve(2)
    stack.pool("max", smallest=smallest)
    assert stack.shape.height == after
    assert isinstance(stack.blocks[-1][1], nn.Identity) == (side == after)
