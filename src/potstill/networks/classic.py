"""The classic feed-forward networks: linear, MLP, LeNet-5, AlexNet and VGG-11, in their forms for small images."""

from __future__ import annotations

from torch import nn

from potstill.networks.base import ImageShape, Network
from potstill.networks.layers import ConvStack, filling_padding
from potstill.networks.spec import Norm


class Linear(Network):
    """A linear classifier of the values themselves, as probes of frozen features are.

    It has no blocks, so methods that compare maps have nothing to compare. The embedding is the image or vector itself.

    Args:
        shape: the shape of the images.
        classes: the number of classes.
    """

    takes_vectors = True

    def __init__(self, shape: ImageShape, classes: int) -> None:
        super().__init__([], nn.Flatten(), shape.size, classes)


class MLP(Network):
    """Fully connected layers with ReLU.

    Each hidden layer is a block whose units are channels of one pixel, (N, width, 1, 1): it has no spatial extent, and
    its attention maps are constant. The embedding is the last hidden layer.

    Args:
        shape: the shape of the images.
        classes: the number of classes.
        depth: the number of hidden layers.
        width: the number of units of each.
    """

    takes_vectors = True

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


class LeNet(Network):
    """Two 5x5 convolutions with max pooling and three linear layers (LeCun et al., 1998), with ReLU.

    Designed for 32x32 pixels. The first convolution pads images under 32 pixels, so that digits of 28x28 have the same
    16 maps of 5x5; the second one pads images under 28 pixels. The embedding is the last hidden layer.

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


class AlexNet(Network):
    """Five convolutions, three of them followed by max pooling (Krizhevsky et al., NeurIPS 2012).

    The form used in papers on dataset distillation: stride 1 throughout, 5x5 kernels in the first two convolutions, no
    normalisation, no dropout, and a single linear layer on the flattened last map, whose length depends on the size of
    the image. As in those papers, 28x28 images are padded to 32x32.

    Args:
        shape: the shape of the images.
        classes: the number of classes.
        norm: the normalisation after each convolution. The published network has none, and learns slowly from a few
            hundred images; ``instance`` avoids that.
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


class VGG11(Network):
    """Configuration A of VGG: eight 3x3 convolutions, five max poolings (Simonyan and Zisserman, ICLR 2015).

    The form for small images has a normalisation after each convolution, and one linear layer on the flattened last
    map, whose length depends on the size of the image. Images of 28x28 are padded to 32x32. Smaller ones skip the
    poolings after which a normalisation would see a single pixel.

    Args:
        shape: the shape of the images.
        classes: the number of classes.
        norm: the normalisation. Papers on dataset distillation use ``instance``, with which results do not depend on
            the other images of a batch; ``batch`` gives the usual VGG-11-BN.
        width: the channels of the first convolution; later ones have 2, 4 and 8 times as many.
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
