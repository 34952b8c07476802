"""From a spec to a network."""

from __future__ import annotations

import torch

from potstill.networks.base import ImageShape, Network
from potstill.networks.registry import find_family
from potstill.networks.spec import parse, read_options
from potstill.runtime.bounds import check_memory
from potstill.runtime.errors import UserError

LEAST_OUTPUTS = 2
"""With a single class, a second output stands for all others: the loss of one output alone is always 0."""


def build_network(
    spec: str, shape: ImageShape | tuple[int, int, int], classes: int, generator: torch.Generator
) -> Network:
    """Build the network that ``spec`` describes, on the CPU and in float32.

    Args:
        spec: a family of :data:`NETWORKS`, such as ``"resnet18"``, perhaps with options, such as
            ``"convnet:depth=5:width=64:norm=batch"``; or a model of timm, such as ``"timm:resnet18"``.
        shape: the shape of the images: channels, height, width.
        classes: the number of classes; of a single one, the network has a second output for all others.
        generator: a CPU generator, from which the parameters are drawn; the global one is not used.

    Raises:
        UserError: the family, an option or a value is unknown, or the images are too small.
    """
    network = outline_network(spec, shape, classes)
    network.to_empty(device="cpu")
    network.initialise(generator)
    return network


def outline_network(spec: str, shape: ImageShape | tuple[int, int, int], classes: int) -> Network:
    """The network that ``spec`` describes without memory for its parameters: on the device ``meta``.

    Args:
        spec: as for :func:`build_network`.
        shape: the shape of the images: channels, height, width.
        classes: the number of classes.

    Raises:
        UserError: as for :func:`build_network`.
    """
    shape = shape if isinstance(shape, ImageShape) else ImageShape(*shape)
    name, options = checked_spec(spec)
    family = find_family(name)
    if (shape.height, shape.width) == (1, 1) and not getattr(family, "takes_vectors", False):
        raise UserError(f"network {spec!r} is for images, and these are vectors", "use linear or mlp")
    if shape.shorter_side < 2 and (shape.height, shape.width) != (1, 1):
        raise UserError(f"images of {shape} pixels are too small for {name}", "use images of at least 2x2")
    with torch.device("meta"):
        network = family(shape, max(classes, LEAST_OUTPUTS), **options)
    check_memory(f"network {spec!r}", sum(4 * weights.numel() for weights in network.parameters()), "use a smaller one")
    return network


def checked_spec(spec: str) -> tuple[str, dict[str, str | int]]:
    """The family that ``spec`` names, and the values of its options.

    Args:
        spec: as for :func:`build_network`.

    Raises:
        UserError: the family, an option or a value is unknown.
    """
    name, texts = parse(spec)
    return name, read_options(name, find_family(name), texts)
