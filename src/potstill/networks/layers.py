"""What families are built of: activations, norms, poolings, and a stack that tracks the shape of its maps."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from potstill.networks.base import ImageShape
from potstill.networks.group_norm import GroupNorm
from potstill.networks.spec import Activation, Norm, Pooling
from potstill.runtime.errors import UserError

GROUPS = 4
"""The groups of ``norm="group"``, as published."""
LARGEST_EXTRA_PADDING = 4
"""The most pixels that a side is padded by to reach a multiple: the difference between 28 and 32."""


class Convolution(nn.Conv2d):
    """PyTorch's convolution; when compiled, the bias is added in a separate step.

    PyTorch's CPU kernels take about ten times as long for grey images if they also compute the gradient of the bias.
    The compiler fuses the addition with the operations after it, and likewise its gradient.
    """

    def forward(self, input: Tensor) -> Tensor:
        """From maps (N, C, H, W) to maps (N, K, H', W')."""
        if self.bias is None or not torch.compiler.is_compiling():
            return super().forward(input)
        return self._conv_forward(input, self.weight, None) + self.bias[:, None, None]


class AveragePooling(nn.AvgPool2d):
    """PyTorch's 2x2 average pooling; when compiled, a sum of four maps.

    The compiled gradient of the sum reads each value once; that of the pooling divides and compares integers for every
    pixel. ``Network.observe`` always uses PyTorch's pooling.
    """

    def __init__(self) -> None:
        super().__init__(2)

    def forward(self, input: Tensor) -> Tensor:
        """From maps (N, C, H, W) to maps (N, C, H // 2, W // 2)."""
        if not torch.compiler.is_compiling():
            return super().forward(input)
        height, width = (side // 2 * 2 for side in input.shape[2:])
        rows = input[:, :, 0:height:2] + input[:, :, 1:height:2]
        return (rows[..., 0:width:2] + rows[..., 1:width:2]) / 4


class MaxPooling(nn.MaxPool2d):
    """PyTorch's 2x2 max pooling; when compiled, the maximum of four maps.

    The compiled gradient of PyTorch's pooling searches the indices of every window that could contain a pixel.
    """

    def __init__(self) -> None:
        super().__init__(2)

    def forward(self, input: Tensor) -> Tensor:
        """From maps (N, C, H, W) to maps (N, C, H // 2, W // 2)."""
        if not torch.compiler.is_compiling():
            return F.max_pool2d(input, 2)
        height, width = (side // 2 * 2 for side in input.shape[2:])
        rows = torch.maximum(input[:, :, 0:height:2], input[:, :, 1:height:2])
        return torch.maximum(rows[..., 0:width:2], rows[..., 1:width:2])


def make_activation(name: Activation) -> nn.Module:
    """The activation called ``name``, in place if PyTorch and autograd allow it."""
    match name:
        case "relu":
            return nn.ReLU(inplace=True)
        case "sigmoid":
            return nn.Sigmoid()
        case "leaky":
            return nn.LeakyReLU(0.01, inplace=True)
        case "swish":
            return nn.SiLU()


def make_norm(name: Norm, shape: ImageShape) -> nn.Module:
    """The normalisation called ``name`` for maps of ``shape``, with a learned scale and shift.

    ``instance`` is a group norm with one channel per group, as in the published ConvNets: it has no running
    statistics, so that training and evaluation agree.

    Raises:
        UserError: the channels cannot be divided into groups.
    """
    match name:
        case "none":
            return nn.Identity()
        case "batch":
            return nn.BatchNorm2d(shape.channels)
        case "layer":
            return nn.LayerNorm([shape.channels, shape.height, shape.width])
        case "instance":
            return GroupNorm(shape.channels, shape.channels)
        case "group":
            if shape.channels % GROUPS:
                raise UserError(
                    f"norm=group cannot divide {shape.channels} channels into {GROUPS} groups",
                    f"choose a width that is a multiple of {GROUPS}, or another norm",
                )
            return GroupNorm(GROUPS, shape.channels)


def make_pooling(name: Pooling) -> nn.Module:
    """The 2x2 pooling called ``name``."""
    match name:
        case "none":
            return nn.Identity()
        case "max":
            return MaxPooling()
        case "avg":
            return AveragePooling()


def filling_padding(shape: ImageShape, kernel: int, halvings: int) -> tuple[int, int]:
    """The padding of the first convolution with which the sides can be halved ``halvings`` times.

    A side that is 2 or 4 pixels short of a multiple of 2**halvings is padded to it. The published programs pad MNIST's
    28x28 to 32x32 in this way, for grey images only. Any other side keeps its length.

    Args:
        shape: the shape of the images.
        kernel: the side of the kernel in pixels, odd.
        halvings: the number of 2x2 poolings.

    Returns:
        The padding of height and width at each of their two ends, in pixels.
    """

    def padding(side: int) -> int:
        missing = -side % 2**halvings
        extra = missing if missing % 2 == 0 and missing <= LARGEST_EXTRA_PADDING else 0
        return (kernel - 1 + extra) // 2

    return padding(shape.height), padding(shape.width)


class ConvStack:
    """A chain of convolutional blocks under construction, and the shape of its output so far.

    Args:
        shape: the shape of the images.

    Attributes:
        blocks: pairs of block and pooling, as :class:`Network` takes them.
        shape: the shape of the maps of the last block, after pooling.
    """

    def __init__(self, shape: ImageShape) -> None:
        self.blocks: list[tuple[nn.Module, nn.Module]] = []
        self.shape = shape

    def convolve(
        self,
        channels: int,
        *,
        kernel: int = 3,
        padding: int | tuple[int, int] | None = None,
        norm: Norm = "none",
        activation: Activation = "relu",
    ) -> None:
        """Add a block of convolution, norm and activation.

        Args:
            channels: the number of maps.
            kernel: the side of the kernel in pixels.
            padding: zeros at each end of height and width; None keeps the sides, if the kernel is odd.
            norm: the normalisation of the maps.
            activation: the activation after it.
        """
        if padding is None:
            padding = (kernel - 1) // 2
        rows, columns = (padding, padding) if isinstance(padding, int) else padding
        convolution = Convolution(self.shape.channels, channels, kernel, padding=(rows, columns))
        self.shape = ImageShape(
            channels, self.shape.height + 2 * rows - kernel + 1, self.shape.width + 2 * columns - kernel + 1
        )
        block = nn.Sequential(convolution, make_norm(norm, self.shape), make_activation(activation))
        self.blocks.append((block, nn.Identity()))

    def pool(self, name: Pooling = "max", *, smallest: int = 1) -> None:
        """Halve the maps of the last block, unless a side would become shorter than ``smallest`` pixels.

        A network designed for 32x32 pixels thus takes smaller images, too. ``smallest=2`` is for poolings before a
        normalised convolution: of a map of one pixel, instance norm keeps only its own shift.
        """
        if name == "none" or self.shape.shorter_side // 2 < smallest:
            return
        block, _ = self.blocks[-1]
        self.blocks[-1] = (block, make_pooling(name))
        self.shape = replace(self.shape, height=self.shape.height // 2, width=self.shape.width // 2)
