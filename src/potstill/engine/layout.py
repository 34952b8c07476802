"""Where networks and images lie: on which device, in which precision and layout, how many at a time."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from potstill.networks import Network
from potstill.runtime.compute import Compute

CPU_CHUNK_VALUES = 20 * 128 * 32 * 32
"""Values of a network's largest map at a time on a CPU: they then stay in the cache, and layers are bound by memory."""

CPU_CHUNK_PIXELS = 128 * 1024
"""Pixels at a time on a CPU at most: with more a small network gains little, and many cores find too few chunks."""

CPU_SHARED_PIXELS = 4 * 1024
"""Pixels of a batch from which on two cores share it, though it fits the cache of one.

Ten images of 28x28 then take a ConvNet half to two thirds of the time; a LeNet takes the same.
"""

GPU_CHUNK_PIXELS = 1280 * 1024
"""Pixels at a time on a GPU: enough to fill it, few enough to bound the memory."""


def chunk_size(images: Tensor, network: Network, device: torch.device) -> int:
    """How many of ``images`` (N, C, H, W) to take through ``network`` at a time: each is independent of the others."""
    pixels = images.shape[2] * images.shape[3]
    if device.type != "cpu":
        return max(GPU_CHUNK_PIXELS // pixels, 1)
    return max(min(CPU_CHUNK_VALUES // network.largest_map(images), CPU_CHUNK_PIXELS // pixels), 1)


def part_size(images: Tensor, network: Network, device: torch.device) -> int:
    """How many of a batch's ``images`` (N, C, H, W) to take at a time through ``network`` and back, in training.

    That is all of them where they depend on each other. Else it is half of what fits without gradients: the way back
    keeps as much again. On a CPU the parts are of one size, and there are two at least where the batch is worth
    sharing, however many cores there are: the same bits on all.
    """
    if network.needs_whole_batches:
        return len(images)
    size = max(chunk_size(images, network, device) // 2, 1)
    if device.type != "cpu" or not len(images):
        return size
    shared = len(images) * images.shape[2] * images.shape[3] >= CPU_SHARED_PIXELS
    parts = max(math.ceil(len(images) / size), 2 if shared else 1)
    return math.ceil(len(images) / parts)


def is_compiled(network: Network, compute: Compute) -> bool:
    """Whether ``network`` is compiled: where ``compute`` compiles, and a norm gives a compiler something to gain.

    Of convolutions, activations and poolings alone it makes nothing better than PyTorch's own kernels, and on a CPU
    worse gradients: compiled, a ConvNet without norms took three times as long to train, a LeNet half as long again.
    """
    norms = (nn.GroupNorm, nn.LayerNorm, nn.BatchNorm2d)
    return compute.compile and any(isinstance(module, norms) for module in network.modules())


def placed(network: Network, compute: Compute) -> Network:
    """``network`` on the device, in the precision, its weights laid out channels last: several times faster."""
    on_device = network.to(compute.device, compute.dtype)
    if compute.precision == "bfloat16":
        for module in on_device.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.float()  # running statistics move by less than bfloat16 can tell
    for parameter in on_device.parameters():
        if parameter.dim() == 4:
            parameter.data = _channels_last(parameter.data)
    return on_device


def _channels_last(weights: Tensor) -> Tensor:
    """A copy of ``weights`` (K, C, h, w) with the strides of channels last, also where C is 1.

    PyTorch takes the weights of a grey image's convolution for contiguous and for channels last at once, and then
    computes the largest maps of the network in the slower layout; explicit strides settle it.
    """
    _, channels, height, width = weights.shape
    strides = (channels * height * width, 1, width * channels, channels)
    return torch.empty_strided(weights.shape, strides, dtype=weights.dtype, device=weights.device).copy_(weights)


def arranged(images: Tensor, compute: Compute) -> Tensor:
    """``images`` (N, C, H, W) as a ``placed`` network takes them.

    Grey images are contiguous and channels last at once, by either strides: they all get the same ones here, or a
    compiled network would meet two kinds of every batch and be compiled for each.
    """
    count, channels, height, width = images.shape
    moved = images.to(compute.device, compute.dtype)
    if channels > 1:
        return moved.contiguous(memory_format=torch.channels_last)
    return moved.reshape(count, height, width, 1).permute(0, 3, 1, 2)


class MasterWeights:
    """The parameters of a ``placed`` network as an optimiser moves them: in float32 where the network computes in less.

    A step of SGD is a thousandth of a weight, and bfloat16 keeps eight bits of it: most steps would be lost.
    In any other precision these are the network's own parameters.

    Args:
        computing: the network that computes with them.

    Attributes:
        network: a copy of it in float32, or the same one; until they are changed its parameters have the same values.
    """

    def __init__(self, computing: Network) -> None:
        self._computing = computing
        low = any(parameter.dtype == torch.bfloat16 for parameter in computing.parameters())
        self.network = copy.deepcopy(computing).float() if low else computing
        for own, theirs in zip(self.network.modules(), computing.modules(), strict=True):
            own._buffers = theirs._buffers  # running statistics are in float32 already, and there is one of each

    @property
    def named(self) -> dict[str, Tensor]:
        """Each parameter by its name in the network."""
        return dict(self.network.named_parameters())

    @property
    def parameters(self) -> list[Tensor]:
        """In the order of ``network.parameters()``."""
        return list(self.network.parameters())

    @torch.no_grad()
    def take_over(self) -> None:
        """Take the parameters of the computing network as they are now."""
        for master, computing in self._pairs():
            master.copy_(computing)

    @torch.no_grad()
    def hand_over(self) -> None:
        """Give the computing network the parameters as they are now, rounded to its precision."""
        for master, computing in self._pairs():
            computing.copy_(master)

    @torch.no_grad()
    def restore(self, named: Mapping[str, Tensor]) -> None:
        """Take values by name, and hand them over."""
        for name, master in self.named.items():
            master.copy_(named[name])
        self.hand_over()

    def _pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Each parameter and what the network computes with, where they are not the same tensor."""
        if self.network is not self._computing:
            yield from zip(self.network.parameters(), self._computing.parameters(), strict=True)
