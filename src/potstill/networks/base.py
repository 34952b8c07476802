"""The common form of all networks: blocks that compute maps, a neck for the embedding, a linear classifier."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class ImageShape:
    """The shape of an image, or of the feature maps of an image.

    Attributes:
        channels: the number of channels or maps.
        height: in pixels.
        width: in pixels.
    """

    channels: int
    height: int
    width: int

    @property
    def size(self) -> int:
        """The number of values."""
        return self.channels * self.height * self.width

    @property
    def shorter_side(self) -> int:
        """The smaller of height and width, in pixels."""
        return min(self.height, self.width)

    def __str__(self) -> str:
        """Height and width, for messages."""
        return f"{self.height}x{self.width}"


class Observation(NamedTuple):
    """Everything that a network computes from N images.

    As a named tuple it is a tree of tensors for ``torch.func`` and ``torch.compile``.

    Attributes:
        maps: for each block l its activations (N, C_l, H_l, W_l), before pooling.
        embedding: (N, D), the input of the classifier.
        logits: (N, classes).
    """

    maps: tuple[Tensor, ...]
    embedding: Tensor
    logits: Tensor


Scheme = Literal["kaiming", "xavier"]
"""How the weights of convolutions and linear layers are drawn.

``kaiming``: PyTorch's default; weights and biases from U(-b, b), b = 1/√fan_in: He et al. (ICCV 2015) with a = √5.
``xavier``: N(0, 2 / (fan_in + fan_out)), biases 0: Glorot and Bengio (AISTATS 2010).
"""


class Network(nn.Module):
    """An image classifier whose inner features can be matched.

    A family derives from this class, takes ``(shape, classes, *, option=default, ...)`` and passes its parts to this
    constructor. Specs such as ``"convnet:depth=4"`` set its keyword-only options, which are typed ``int``,
    ``int | None`` or ``Literal``. Build networks with :func:`potstill.networks.build_network`, which draws the
    parameters from a given generator; a constructor called directly draws them from the global one.

    ``observe``, ``embed`` and ``forward`` run the same trunk. It has no data-dependent branch, so that it compiles
    without a graph break, and takes images of the parameters' dtype in any memory format. Only under
    ``torch.func.vmap`` must they be contiguous: PyTorch has no rule there for a channels-last group norm.

    Args:
        blocks: pairs of a module that ends in an activation, and the pooling after it.
        neck: from the last pooled map to the embedding.
        embedding_size: D, the width of the embedding.
        classes: the number of logits.

    Attributes:
        needs_whole_batches: whether in training the maps of an image depend on the rest of its batch, as with batch
            norms.
        takes_vectors: whether the family also takes vectors: images of one pixel, whose channels are the features.
    """

    takes_vectors: ClassVar[bool] = False

    def __init__(
        self,
        blocks: Sequence[tuple[nn.Module, nn.Module]],
        neck: nn.Module,
        embedding_size: int,
        classes: int,
    ) -> None:
        super().__init__()
        self.embedding_size = embedding_size
        self.classes = classes
        self.blocks = nn.ModuleList(block for block, _ in blocks)
        self.pools = nn.ModuleList(pool for _, pool in blocks)
        self.neck = neck
        self.classifier = nn.Linear(embedding_size, classes)
        self.needs_whole_batches = any(isinstance(module, nn.BatchNorm2d) for module in self.modules())
        self._map_sizes: dict[torch.Size, tuple[int, ...]] = {}

    def observe(self, images: Tensor) -> Observation:
        """The feature maps, embedding and logits of ``images`` (N, C, H, W)."""
        maps: list[Tensor] = []
        embedding = self._trunk(images, maps)
        return Observation(tuple(maps), embedding, self.classifier(embedding))

    def embed(self, images: Tensor) -> Tensor:
        """The embedding (N, D) of ``images`` (N, C, H, W)."""
        return self._trunk(images)

    def forward(self, images: Tensor) -> Tensor:
        """The logits (N, classes) of ``images`` (N, C, H, W)."""
        return self.classifier(self._trunk(images))

    def map_sizes(self, images: Tensor) -> tuple[int, ...]:
        """The numbers of values of all that is computed from one image of ``images`` (N, C, H, W), and of the image."""
        shape = images.shape[1:]
        if shape not in self._map_sizes:
            sizes = [shape.numel()]
            traced = copy.deepcopy(self).eval()
            for module in traced.modules():
                if not any(True for _ in module.children()):
                    module.register_forward_hook(lambda _, __, made: _note(made, sizes))
            # Not on the device "meta": the norms there import half of PyTorch's compiler, which takes seconds.
            with torch.no_grad():
                traced(self.classifier.weight.new_zeros(1, *shape))
            self._map_sizes[shape] = tuple(sizes)
        return self._map_sizes[shape]

    def _trunk(self, images: Tensor, maps: list[Tensor] | None = None) -> Tensor:
        """The embedding; if ``maps`` is given, the map of each block is appended to it."""
        features = images
        for block, pool in zip(self.blocks, self.pools, strict=True):
            features = block(features)
            if maps is not None:
                maps.append(features)
            if maps is not None and isinstance(pool, nn.AvgPool2d):
                # PyTorch's own: the gradient of an observed map has two sources, and the sum's gradient is slow then.
                features = nn.AvgPool2d.forward(pool, features)
            else:
                features = pool(features)
        return self.neck(features)

    @torch.no_grad()
    def initialise(self, generator: torch.Generator, scheme: Scheme = "kaiming") -> None:
        """Redraw every parameter and reset every buffer, in place.

        The values depend on the generator alone: they are drawn on the CPU in float32 whatever the device and dtype of
        the parameters. A seed gives the same values as ``torch.manual_seed`` and the constructor.

        Args:
            generator: a CPU generator, the only source of randomness.
            scheme: the distribution of the weights of convolutions and linear layers.

        Raises:
            TypeError: the network has parameters in a layer whose default distribution is not known here.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                redraw(module, generator, scheme)
            elif isinstance(module, nn.GroupNorm | nn.LayerNorm | nn.BatchNorm2d):
                module.reset_parameters()
            elif any(True for _ in module.parameters(recurse=False)):
                raise TypeError(f"no known initialisation for {type(module).__name__}")


def _note(made: object, sizes: list[int]) -> None:
    """Note the size of what a layer made, if it is a single tensor."""
    if isinstance(made, Tensor):
        sizes.append(made.numel())


def redraw(layer: nn.Conv2d | nn.Linear, generator: torch.Generator, scheme: Scheme) -> None:
    """Redraw weights and biases of a layer, in place, as :meth:`Network.initialise` does.

    Args:
        layer: on any device, in any floating dtype.
        generator: a CPU generator, the only source of randomness.
        scheme: the distribution.
    """
    weight, bias = torch.empty(layer.weight.shape), torch.zeros(len(layer.weight))
    if scheme == "xavier":
        nn.init.xavier_normal_(weight, generator=generator)
    else:
        nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
        bound = 1 / math.sqrt(layer.weight[0].numel())
        if layer.bias is not None:
            bias.uniform_(-bound, bound, generator=generator)
    layer.weight.copy_(weight, non_blocking=True)
    if layer.bias is not None:
        layer.bias.copy_(bias, non_blocking=True)
