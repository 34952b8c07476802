"""ConvNet: the standard network of dataset distillation."""

from __future__ import annotations

from torch import nn

from potstill.networks.base import ImageShape, Network
from potstill.networks.layers import ConvStack, filling_padding
from potstill.networks.spec import Activation, Norm, Pooling
from potstill.runtime.errors import UserError


class ConvNet(Network):
    """Equal blocks of convolution, normalisation, activation and pooling (Gidaris and Komodakis, CVPR 2018).

    Its form in dataset condensation (Zhao et al., ICLR 2021): 3x3 convolutions, instance norm, ReLU, 2x2
    average pooling. The first convolution pads 28x28 images, grey or not, to 32x32 (:func:`filling_padding`).
    The embedding is the flattened last map, after pooling: its length depends on the size of the image.

    Args:
        shape: the shape of the images.
        classes: the number of classes.
        depth: the number of blocks; None means 3 for images under 48 pixels, 4 under 96, 5 under 192, otherwise 7, but
            no more than the image can be halved.
        width: the channels of each block.
        activation: the activation after each normalisation.
        norm: the normalisation of each block.
        pooling: the pooling that halves the maps after each block; with ``none`` they keep their size.

    Raises:
        UserError: the image is too small for the depth, or ``norm="group"`` cannot divide the width.
    """

    def __init__(
        self,
        shape: ImageShape,
        classes: int,
        *,
        depth: int | None = None,
        width: int = 128,
        activation: Activation = "relu",
        norm: Norm = "instance",
        pooling: Pooling = "avg",
    ) -> None:
        if depth is None:
            depth = default_depth(shape)
        elif pooling != "none" and depth > largest_depth(shape):
            raise UserError(
                f"images of {shape} pixels are too small for a convnet of depth {depth}",
                f"use a depth of at most {largest_depth(shape)}, pooling=none or larger images",
            )
        stack = ConvStack(shape)
        padding = filling_padding(shape, kernel=3, halvings=0 if pooling == "none" else depth)
        for _ in range(depth):
            stack.convolve(width, padding=padding, norm=norm, activation=activation)
            stack.pool(pooling)
            padding = (1, 1)
        super().__init__(stack.blocks, nn.Flatten(), stack.shape.size, classes)


def default_depth(shape: ImageShape) -> int:
    """The depth used in the literature for images of this size, or the largest possible depth if that is less."""
    side = shape.shorter_side
    depth = 3 if side < 48 else 4 if side < 96 else 5 if side < 192 else 7
    return min(depth, largest_depth(shape))


def largest_depth(shape: ImageShape) -> int:
    """The number of times that images of ``shape``, with the padding of the first convolution, can be halved."""

    def fits(depth: int) -> bool:
        rows, columns = filling_padding(shape, kernel=3, halvings=depth)
        return min(shape.height + 2 * rows - 2, shape.width + 2 * columns - 2) >= 2**depth

    depth = 0
    while fits(depth + 1):
        depth += 1
    return depth
