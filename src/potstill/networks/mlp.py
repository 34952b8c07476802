"""The multilayer perceptron."""

from __future__ import annotations

from torch import nn

from potstill.networks.base import ImageShape, Network


class MLP(Network):
    """Fully connected layers with ReLU.

    Each hidden layer is a block whose units are channels of one pixel, (N, width, 1, 1): there is no place to
    attend to, and attention maps made of it are constant. The embedding is the last hidden layer.

    Args:
        shape: the shape of the images.
        classes: the number of classes.
        depth: the number of hidden layers.
        width: the units of each.
    """

    def __init__(self, shape: ImageShape, classes: int, *, depth: int = 2, width: int = 128) -> None:
        blocks: list[tuple[nn.Module, nn.Module]] = []
        inputs = shape.size
        for _ in range(depth):
            layer = nn.Sequential(
                nn.Flatten(), nn.Linear(inputs, width), nn.ReLU(inplace=True), nn.Unflatten(1, (width, 1, 1))
            )
            blocks.append((layer, nn.Identity()))
            inputs = width
        super().__init__(blocks, nn.Flatten(), width, classes)
