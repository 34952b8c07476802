"""ResNet-18, with a stem for small or for large images."""

from __future__ import annotations

from torch import Tensor, nn

from potstill.networks.base import ImageShape, Network
from potstill.networks.layers import make_norm
from potstill.networks.spec import Norm, Stem

SMALLEST_LARGE_IMAGE = 96
"""The shorter side, in pixels, from which the stem shrinks the images."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut around them (He et al., CVPR 2016, figure 5, left).

    Args:
        before: the shape of the input maps.
        after: the shape of the output maps.
        norm: the normalisation after each convolution.
        stride: the stride of the first convolution.
    """

    def __init__(self, before: ImageShape, after: ImageShape, norm: Norm, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(before.channels, after.channels, 3, stride, padding=1, bias=False),
            make_norm(norm, after),
            nn.ReLU(inplace=True),
            nn.Conv2d(after.channels, after.channels, 3, padding=1, bias=False),
            make_norm(norm, after),
        )
        self.shortcut: nn.Module = nn.Identity()
        if before != after:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before.channels, after.channels, 1, stride, bias=False), make_norm(norm, after)
            )
        self.activation = nn.ReLU(inplace=True)

    def forward(self, maps: Tensor) -> Tensor:
        """From maps (N, *before) to maps (N, *after)."""
        return self.activation(self.residual(maps) + self.shortcut(maps))


class ResNet18(Network):
    """A stem and four stages of two basic blocks, then global average pooling (He et al., CVPR 2016).

    Its maps are those of the stem and of the four stages. The embedding has length 8 x width for images of any size. A
    stage halves the maps unless a side would shrink to one pixel: of a map of one pixel, instance norm keeps only its
    own shift.

    Args:
        shape: the shape of the images.
        classes: the number of classes.
        norm: the normalisation. Papers on dataset distillation use ``instance``, with which results do not depend on
            the other images of a batch; ``batch`` gives the standard ResNet-18.
        width: the channels of the stem and the first stage; the others have 2, 4 and 8 times as many.
        stem: ``small`` is a 3x3 convolution that keeps the size of the image, as usual for 32x32; ``large`` is the 7x7
            convolution and max pooling for ImageNet, which divide the sides by 4; ``auto`` is large from 96 pixels.
    """

    def __init__(
        self,
        shape: ImageShape,
        classes: int,
        *,
        norm: Norm = "instance",
        width: int = 64,
        stem: Stem = "auto",
    ) -> None:
        large = stem == "large" or (stem == "auto" and shape.shorter_side >= SMALLEST_LARGE_IMAGE)
        kernel, stride = (7, 2) if large else (3, 1)
        before = strided(shape, width, stride)
        convolution = nn.Conv2d(shape.channels, width, kernel, stride, padding=kernel // 2, bias=False)
        first = nn.Sequential(convolution, make_norm(norm, before), nn.ReLU(inplace=True))
        pool = nn.MaxPool2d(3, 2, padding=1) if large else nn.Identity()
        blocks: list[tuple[nn.Module, nn.Module]] = [(first, pool)]
        before = strided(before, width, 2 if large else 1)
        for multiple in (1, 2, 4, 8):
            stride = 2 if multiple > 1 and before.shorter_side > 2 else 1
            after = strided(before, multiple * width, stride)
            stage = nn.Sequential(BasicBlock(before, after, norm, stride), BasicBlock(after, after, norm, 1))
            blocks.append((stage, nn.Identity()))
            before = after
        neck = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        super().__init__(blocks, neck, before.channels, classes)


def strided(shape: ImageShape, channels: int, stride: int) -> ImageShape:
    """The shape of the maps after a padded convolution with an odd kernel.

    Args:
        shape: the shape of its input.
        channels: the number of its maps.
        stride: its stride in pixels.
    """
    return ImageShape(channels, -(-shape.height // stride), -(-shape.width // stride))
