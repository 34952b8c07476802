"""How networks and images are laid out: device, precision, strides, and how many images are taken at a time."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from potstill.networks import Network
from potstill.runtime.bounds import memory_bytes
from potstill.runtime.compute import Compute

CPU_CHUNK_VALUES = 20 * 128 * 32 * 32
"""Values of the largest map of a chunk on a CPU: they fit the cache, because layers are bound by memory bandwidth."""

CPU_CHUNK_PIXELS = 128 * 1024
"""The most pixels of a chunk on a CPU: more gain a small network little, and leave many cores too few chunks."""

CPU_SHARED_PIXELS = 4 * 1024
"""Pixels of a batch from which it is split between two cores, even if it fits the cache of one.

For ten images of 28x28 this takes a ConvNet one half to two thirds of the time; for a LeNet it makes no difference.
"""

GPU_CHUNK_PIXELS = 1280 * 1024
"""Pixels of a chunk on a GPU: enough to occupy it, few enough to bound the memory."""

CPU_GRAPH_BYTES, GPU_GRAPH_BYTES = 2**30, 2**32
"""What the graphs of many chunks may take together; on a CPU, an eighth of its memory at most.

Beyond it, each is computed again when its gradient is.
"""


@dataclass
class _Shrinking:
    """How much smaller chunks are than usual, and whether one that was asked for could be smaller still."""

    share: float = 1.0
    further: bool = False


_shrinking: ContextVar[_Shrinking | None] = ContextVar("_shrinking", default=None)


@contextmanager
def shrinking_chunks() -> Iterator[Callable[[], bool]]:
    """Within this context chunks can be made smaller where memory has run out.

    Yields:
        A function that halves all chunks from now on, and what their graphs may take together; it returns False if
        nothing that was taken in chunks since the last call can be taken in smaller ones.
    """
    shrinking = _Shrinking()

    def halve() -> bool:
        further, shrinking.further = shrinking.further, False
        shrinking.share /= 2 if further else 1
        return further

    token = _shrinking.set(shrinking)
    try:
        yield halve
    finally:
        _shrinking.reset(token)


def share_of_chunk(count: int) -> int:
    """The share of ``count`` things, at least one, that is taken at a time where chunks have been made smaller."""
    taken = max(int(count * _share()), 1)
    if (shrinking := _shrinking.get()) is not None:
        shrinking.further |= taken > 1
    return taken


def _share() -> float:
    shrinking = _shrinking.get()
    return 1.0 if shrinking is None else shrinking.share


def chunk_size(images: Tensor, network: Network, device: torch.device) -> int:
    """How many images to take through a network at a time, if no gradient is needed and images are independent.

    Args:
        images: (N, C, H, W).
        network: on any device.
        device: where it will run.
    """
    pixels = images.shape[2] * images.shape[3]
    if device.type != "cpu":
        return share_of_chunk(GPU_CHUNK_PIXELS // pixels)
    return share_of_chunk(min(CPU_CHUNK_VALUES // max(network.map_sizes(images)), CPU_CHUNK_PIXELS // pixels))


def keeps_graphs(images: Tensor, network: Network, compute: Compute) -> bool:
    """Whether the graphs of all chunks of a batch are kept until its gradient is known: it saves a forward pass.

    Args:
        images: (N, C, H, W), all of the batch.
        network: on any device.
        compute: where it will run.
    """
    graph_bytes = len(images) * sum(network.map_sizes(images)) * compute.dtype.itemsize
    share = _share()
    if compute.device.type != "cpu":
        return graph_bytes <= share * GPU_GRAPH_BYTES
    return graph_bytes <= share * min(CPU_GRAPH_BYTES, memory_bytes() / 8)


def part_size(images: Tensor, network: Network, device: torch.device) -> int:
    """How many images of a batch to take forward and back through a network at a time, in training.

    If the images of a batch depend on each other, as with batch norms, these are all. Otherwise they are half of
    :func:`chunk_size`, because the backward pass keeps as much again. On a CPU the parts have equal sizes, and a batch
    of ``CPU_SHARED_PIXELS`` or more has at least two: the parts, and with them the bits, do not depend on the number
    of cores.

    Args:
        images: (N, C, H, W).
        network: on any device.
        device: where it will run.
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
    """Whether ``network`` is compiled: if ``compute`` compiles, and the network has norms.

    For convolutions, activations and poolings alone the compiler is no better than PyTorch's own kernels, and on a CPU
    their gradients are slower: compiled, a ConvNet without norms took three times as long to train, a LeNet 1.5 times.
    """
    norms = (nn.GroupNorm, nn.LayerNorm, nn.BatchNorm2d)
    return compute.compile and any(isinstance(module, norms) for module in network.modules())


def place_network(network: Network, compute: Compute) -> Network:
    """Move ``network`` to its device and dtype, in place, with weights in channels-last order: several times faster."""
    on_device = network.to(compute.device, compute.dtype)
    if compute.precision == "bfloat16":
        for module in on_device.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.float()  # changes of running statistics are smaller than bfloat16 resolves
    for parameter in on_device.parameters():
        if parameter.dim() == 4:
            parameter.data = channels_last_weights(parameter.data)
    return on_device


def channels_last_weights(weights: Tensor) -> Tensor:
    """A copy of ``weights`` (K, C, h, w) with channels-last strides, also if C is 1.

    PyTorch treats the weights of a convolution of grey images as both contiguous and channels last, and then computes
    the largest maps of the network in the slower layout; explicit strides avoid that.
    """
    _, channels, height, width = weights.shape
    strides = (channels * height * width, 1, width * channels, channels)
    return torch.empty_strided(weights.shape, strides, dtype=weights.dtype, device=weights.device).copy_(weights)


def arrange_images(images: Tensor, compute: Compute) -> Tensor:
    """``images`` (N, C, H, W) with the device, dtype and strides that suit a network of :func:`place_network`.

    Grey images are both contiguous and channels last, with either strides. Here all get the same strides; otherwise a
    compiled network would see two kinds of every batch and be compiled for each.
    """
    return channels_last_images(images.to(compute.device, compute.dtype))


def channels_last_images(images: Tensor) -> Tensor:
    """``images`` (N, C, H, W) in channels-last order, with the same strides for all of one shape."""
    count, channels, height, width = images.shape
    if channels > 1:
        return images.contiguous(memory_format=torch.channels_last)
    return images.reshape(count, height, width, 1).permute(0, 3, 1, 2)


class MasterWeights:
    """The parameters that an optimiser updates: in float32 where a network computes in bfloat16.

    A step of SGD is a thousandth of a weight, and bfloat16 has eight bits: most steps would be lost. In any other
    precision the master weights are the network's own parameters.

    Args:
        computing: the network, as returned by :func:`place_network`.

    Attributes:
        network: a float32 copy of it, or the network itself.
    """

    def __init__(self, computing: Network) -> None:
        self._computing = computing
        low = any(parameter.dtype == torch.bfloat16 for parameter in computing.parameters())
        self.network = copy.deepcopy(computing).float() if low else computing
        for own, theirs in zip(self.network.modules(), computing.modules(), strict=True):
            own._buffers = theirs._buffers  # running statistics are in float32 already, and are shared

    @property
    def named(self) -> dict[str, Tensor]:
        """The master weights by their names in the network."""
        return dict(self.network.named_parameters())

    @property
    def parameters(self) -> list[Tensor]:
        """The master weights in the order of ``network.parameters()``."""
        return list(self.network.parameters())

    @torch.no_grad()
    def take_over(self) -> None:
        """Copy the parameters of the computing network to the master weights."""
        for master, computing in self._pairs():
            master.copy_(computing)

    @torch.no_grad()
    def hand_over(self) -> None:
        """Copy the master weights to the computing network, rounded to its precision."""
        for master, computing in self._pairs():
            computing.copy_(master)

    @torch.no_grad()
    def restore(self, named: Mapping[str, Tensor]) -> None:
        """Set the master weights by name, and hand them over."""
        for name, master in self.named.items():
            master.copy_(named[name])
        self.hand_over()

    def _pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs of a master weight and a parameter of the computing network, if they are different tensors."""
        if self.network is not self._computing:
            yield from zip(self.network.parameters(), self._computing.parameters(), strict=True)
