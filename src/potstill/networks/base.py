"""What every network is: blocks that make maps, a neck that makes the embedding, a linear classifier."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class ImageShape:
    """The shape of one image, or of one image's feature maps."""

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
        """Height and width, as messages name them."""
        return f"{self.height}x{self.width}"


class Observation(NamedTuple):
    """Everything that a network computes from N images.

    A named tuple, and so a tree of tensors to ``torch.func`` and ``torch.compile``.

    Attributes:
        maps: for each block l its activations (N, C_l, H_l, W_l), before pooling.
        embedding: (N, D), what the classifier reads.
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

    A family derives from this class, takes ``(shape, classes, *, option=default, ...)`` and hands its parts
    to this constructor. Its keyword-only options, typed ``int``, ``int | None`` or ``Literal``, are what a spec
    such as ``"convnet:depth=4"`` may set. Make networks with :func:`potstill.networks.build_network`, which
    draws the parameters from a given generator; a constructor called by itself draws from the global one.

    ``observe``, ``embed`` and ``forward`` run the same trunk. They hold no branch on data, so that they
    compile without a break, and they take images of any memory format and of the parameters' dtype.
    Only under ``torch.func.vmap`` must they be contiguous: PyTorch has no rule there for a channels-last group norm.

    Args:
        blocks: pairs of a module that ends in an activation and the pooling after it.
        neck: from the last pooled map to the embedding.
        embedding_size: D, the width of the embedding.
        classes: the number of logits.

    Attributes:
        needs_whole_batches: whether in training an image's maps depend on the images beside it, as by batch norms.
    """

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
        self._largest: dict[torch.Size, int] = {}

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

    def largest_map(self, images: Tensor) -> int:
        """How many values the largest map has that is made of one of ``images`` (N, C, H, W): what fills a cache."""
        shape = images.shape[1:]
        if shape not in self._largest:
            sizes = [shape.numel()]
            traced = copy.deepcopy(self).to("meta").eval()
            for module in traced.modules():
                module.register_forward_hook(lambda _, __, made: sizes.append(made.numel()))
            traced(torch.empty(1, *shape, dtype=self.classifier.weight.dtype, device="meta"))
            self._largest[shape] = max(sizes)
        return self._largest[shape]

    def _trunk(self, images: Tensor, maps: list[Tensor] | None = None) -> Tensor:
        """The embedding; the map of each block is appended to ``maps`` where they are wanted."""
        features = images
        for block, pool in zip(self.blocks, self.pools, strict=True):
            features = block(features)
            if maps is not None:
                maps.append(features)
            if maps is not None and isinstance(pool, nn.AvgPool2d):
                # PyTorch's own: the gradient of a map that is looked at comes from two sides, and a sum's is slow then.
                features = nn.AvgPool2d.forward(pool, features)
            else:
                features = pool(features)
        return self.neck(features)

    @torch.no_grad()
    def initialise(self, generator: torch.Generator, scheme: Scheme = "kaiming") -> None:
        """Redraw every parameter and reset every buffer, in place.

        The values depend on the generator alone: they are drawn on the CPU in float32 whatever the device and
        dtype of the parameters, and one seed gives what ``torch.manual_seed`` and the constructor would give.

        Args:
            generator: a CPU generator; nothing else is drawn from.
            scheme: the distribution of the weights of convolutions and linear layers.

        Raises:
            TypeError: the network holds a layer with parameters whose default distribution is not known here.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                _redraw(module, generator, scheme)
            elif isinstance(module, nn.GroupNorm | nn.LayerNorm | nn.BatchNorm2d):
                module.reset_parameters()
            elif any(True for _ in module.parameters(recurse=False)):
                raise TypeError(f"no known initialisation for {type(module).__name__}")


def _redraw(layer: nn.Conv2d | nn.Linear, generator: torch.Generator, scheme: Scheme) -> None:
    weight, bias = torch.empty(layer.weight.shape), torch.zeros(len(layer.weight))
    if scheme == "xavier":
        nn.init.xavier_normal_(weight, generator=generator)
    else:
        nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
        bound = 1 / math.sqrt(layer.weight[0].numel())
        if layer.bias is not None:
            bias.uniform_(-bound, bound, generator=generator)
    layer.weight.copy_(weight)
    if layer.bias is not None:
        layer.bias.copy_(bias)
