"""AlexNet for small images."""

from __future__ import annotations

from torch import nn

from potstill.networks.base import ImageShape, Network
from potstill.networks.layers import ConvStack, Norm, filling_padding


class AlexNet(Network):
    """Five convolutions, three of them followed by max pooling (Krizhevsky et al., NeurIPS 2012).

    The form that papers on dataset distillation compare with: stride 1 throughout, 5x5 kernels in the first
    two convolutions, no normalisation, no dropout, a single linear layer on the flattened last map (its length
    follows from the image's sides). As there, 28x28 images are padded to 32x32.

    Args:
        shape: the shape of the images.
        classes: the number of classes.
        norm: a normalisation after each convolution. The published network has none, and learns from a few
            hundred images only slowly; ``instance`` mends that.
    """

    def __init__(self, shape: ImageShape, classes: int, *, norm: Norm = "none") -> None:
        stack = ConvStack(shape)
        stack.convolve(128, kernel=5, padding=filling_padding(shape, kernel=5, halvings=3), norm=norm)
        stack.pool(smallest=2)
        stack.convolve(192, kernel=5, norm=norm)
        stack.pool(smallest=2)
        for channels in (256, 192, 192):
            stack.convolve(channels, norm=norm)
        stack.pool()
        super().__init__(stack.blocks, nn.Flatten(), stack.shape.size, classes)
