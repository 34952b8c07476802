"""The families of networks by name, and the network that a spec describes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch

from potstill.networks.base import ImageShape, Network
from potstill.networks.classic import MLP, VGG11, AlexNet, LeNet
from potstill.networks.convnet import ConvNet
from potstill.networks.resnet import ResNet18
from potstill.networks.spec import Family, parse, read_options
from potstill.runtime.bounds import check_memory
from potstill.runtime.errors import UserError, unknown

NETWORKS: Mapping[str, Family] = MappingProxyType(
    {
        "convnet": ConvNet,
        "mlp": MLP,
        "lenet": LeNet,
        "alexnet": AlexNet,
        "vgg11": VGG11,
        "resnet18": ResNet18,
    }
)
"""Every family, by the name with which specs begin."""


def build_network(
    spec: str, shape: ImageShape | tuple[int, int, int], classes: int, generator: torch.Generator
) -> Network:
    """Build the network that ``spec`` describes, on the CPU and in float32.

    Args:
        spec: a family of :data:`NETWORKS`, such as ``"resnet18"``, perhaps with options, such as
            ``"convnet:depth=5:width=64:norm=batch"``.
        shape: the shape of the images: channels, height, width.
        classes: the number of classes.
        generator: a CPU generator, from which the parameters are drawn; the global one is not used.

    Raises:
        UserError: the family, an option or a value is unknown, or the images are too small.
    """
    shape = shape if isinstance(shape, ImageShape) else ImageShape(*shape)
    name, texts = parse(spec)
    if name not in NETWORKS:
        raise unknown("network", name, NETWORKS, listing="potstill list networks")
    family = NETWORKS[name]
    options = read_options(name, family, texts)
    if shape.shorter_side < 2:
        raise UserError(f"images of {shape} pixels are too small for {name}", "use images of at least 2x2")
    with torch.device("meta"):
        network = family(shape, classes, **options)
    check_memory(f"network {spec!r}", sum(4 * weights.numel() for weights in network.parameters()), "use a smaller one")
    network.to_empty(device="cpu")
    network.initialise(generator)
    return network
