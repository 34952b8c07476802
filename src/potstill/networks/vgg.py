"""VGG-11."""

from __future__ import annotations

from torch import nn

from potstill.networks.base import ImageShape, Network
from potstill.networks.layers import ConvStack, Norm, filling_padding


class VGG11(Network):
    """Configuration A of VGG: eight 3x3 convolutions, five max poolings (Simonyan and Zisserman, ICLR 2015).

    The form for small images has one linear layer on the flattened last map (its length follows from the
    image's sides) and a normalisation after each convolution. Images of 28x28 are padded to 32x32. Smaller
    ones skip the poolings that would leave a single pixel to a normalisation.

    Args:
        shape: the shape of the images.
        classes: the number of classes.
        norm: the normalisation. Papers on dataset distillation use ``instance``, whose results do not depend
            on which images share a batch; ``batch`` is the usual VGG-11-BN.
        width: the channels of the first convolution; the others have 2, 4 and 8 times as many.
    """

    def __init__(self, shape: ImageShape, classes: int, *, norm: Norm = "instance", width: int = 64) -> None:
        stack = ConvStack(shape)
        padding = filling_padding(shape, kernel=3, halvings=5)
        for position, multiples in enumerate(((1,), (2,), (4, 4), (8, 8), (8, 8))):
            for multiple in multiples:
                stack.convolve(multiple * width, padding=padding, norm=norm)
                padding = (1, 1)
            stack.pool(smallest=2 if position < 4 else 1)
        super().__init__(stack.blocks, nn.Flatten(), stack.shape.size, classes)
