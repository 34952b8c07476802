from __future__ import annotations

import pytest
import torch

from potstill.networks import NETWORKS, ImageShape, build_network, options_of
from potstill.runtime.errors import UserError


@pytest.mark.parametrize("name", NETWORKS)
def test_family_builds_the_class_of_its_name(name, build):
    network = build(name, (1, 8, 8), classes=3)
    assert type(network) is NETWORKS[name]
    assert network.classifier.out_features == 3
    for tensor in network.state_dict().values():
        assert tensor.device.type == "cpu"
        assert tensor.dtype == torch.float32 or not tensor.is_floating_point()
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        (name, option.name, value)
        for name, family in NETWORKS.items()
        for option in options_of(family).values()
        for value in option.choices or ("4",)
    ],
)
def test_every_value_of_every_option_builds(name, option, value, build, draw):
    narrow = ":width=4" if "width" in options_of(NETWORKS[name]) and option != "width" else ""
    network = build(f"{name}:{option}={value}{narrow}", (1, 16, 16), classes=3)
    assert network(draw(2, (1, 16, 16))).shape == (2, 3)


def test_of_a_single_class_there_is_something_to_learn(build, draw):
    network = build("mlp:width=4", (1, 8, 8), classes=1)
    assert network(draw(2, (1, 8, 8))).shape == (2, 2)


def test_options_reach_the_network(build, draw):
    network = build("convnet:depth=2:width=6:norm=none:pooling=max")
    maps = network.observe(draw(1)).maps
    assert [tuple(one.shape[1:]) for one in maps] == [(6, 28, 28), (6, 14, 14)]
    assert not any(isinstance(layer, torch.nn.GroupNorm) for layer in network.modules())
    assert any(isinstance(layer, torch.nn.MaxPool2d) for layer in network.modules())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("convnt", "unknown network 'convnt'; did you mean 'convnet'\\?"),
        ("", "unknown network ''"),
        ("ConvNet", "did you mean 'convnet'"),
        ("convnet:deep=3", "network 'convnet' has no option 'deep'; its options are depth, width"),
        ("lenet:width=3", "network 'lenet' has no option 'width'; it has none"),
        ("convnet:depth=x", "network 'convnet' does not support depth='x'; use a whole number from 1"),
        ("convnet:width=10001", "does not support width='10001'; use a whole number from 1 to 10000"),
        (f"convnet:width={'9' * 5000}", "does not support width="),
        ("convnet:depth=0", "does not support depth='0'"),
        ("convnet:depth=-1", "does not support depth='-1'"),
        ("convnet:width=1.5", "does not support width='1.5'"),
        ("convnet:norm=bach", "does not support norm='bach'; use none | batch | layer | instance | group"),
        ("convnet:norm=group:width=6", "cannot divide 6 channels"),
        ("convnet:depth=6", "too small"),
    ],
)
def test_mistakes_are_named_with_their_remedy(spec, message, build):
    with pytest.raises(UserError) as raised:
        build(spec)
    assert message.replace("\\?", "?") in str(raised.value)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shape", [(3, 1, 28), (3, 28, 1)])
def test_an_image_of_one_row_is_too_small(name, shape, build):
    with pytest.raises(UserError, match="too small for"):
        build(name, shape)


@pytest.mark.parametrize("name", NETWORKS)
def test_only_networks_without_maps_take_vectors(name, build):
    if name in ("linear", "mlp"):
        assert build(name, (64, 1, 1))(torch.zeros(2, 64, 1, 1)).shape == (2, 10)
    else:
        with pytest.raises(UserError, match=f"network '{name}' is for images, and these are vectors"):
            build(name, (64, 1, 1))


def test_a_network_larger_than_the_memory_is_not_asked_for(build, monkeypatch):
    monkeypatch.setattr("potstill.runtime.bounds.memory_bytes", lambda: 1000)
    with pytest.raises(UserError, match=r"network 'mlp' needs [\d.]+ [kM]B, and this machine has 1 kB; use"):
        build("mlp")


def test_a_shape_may_be_a_tuple():
    generators = (torch.Generator().manual_seed(0) for _ in range(2))
    one, other = (build_network("mlp", shape, 3, next(generators)) for shape in ((1, 8, 8), ImageShape(1, 8, 8)))
    assert all(a.equal(b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
