"""LeNet-5."""

from __future__ import annotations

from torch import nn

from potstill.networks.base import ImageShape, Network
from potstill.networks.layers import ConvStack


class LeNet(Network):
    """Two 5x5 convolutions with max pooling and three linear layers (LeCun et al., 1998), with ReLU.

    Made for 32x32 pixels. The first convolution pads images under 32 pixels, so that digits of 28x28 give the
    same 16 maps of 5x5; the second one pads too if they are under 28. The embedding is the last hidden layer.

    Args:
        shape: the shape of the images.
        classes: the number of classes.
    """

    def __init__(self, shape: ImageShape, classes: int) -> None:
        stack = ConvStack(shape)
        stack.convolve(6, kernel=5, padding=2 if shape.shorter_side < 32 else 0)
        stack.pool()
        stack.convolve(16, kernel=5, padding=2 if shape.shorter_side < 28 else 0)
        stack.pool()
        neck = nn.Sequential(
            nn.Flatten(),
            nn.Linear(stack.shape.size, 120),
            nn.ReLU(inplace=True),
            nn.Linear(120, 84),
            nn.ReLU(inplace=True),
        )
        super().__init__(stack.blocks, neck, 84, classes)
