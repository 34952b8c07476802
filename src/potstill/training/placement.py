"""Where networks and images lie: on which device, in which precision and layout, how many at a time."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from potstill.networks import Network
from potstill.runtime.compute import Compute

CPU_CHUNK_PIXELS = 16 * 1024
"""Pixels at a time on a CPU: a layer's activations then stay in the cache, and layers are bound by memory."""

GPU_CHUNK_PIXELS = 1280 * 1024
"""Pixels at a time on a GPU: enough to fill it, few enough to bound the memory."""


def chunk_size(images: Tensor, device: torch.device) -> int:
    """How many of ``images`` (N, C, H, W) to take at a time where each is independent of the others."""
    pixels = CPU_CHUNK_PIXELS if device.type == "cpu" else GPU_CHUNK_PIXELS
    return max(pixels // (images.shape[2] * images.shape[3]), 1)


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
    """``images`` (N, C, H, W) as a ``placed`` network takes them."""
    return images.to(compute.device, compute.dtype).contiguous(memory_format=torch.channels_last)


class MasterWeights:
    """The parameters of a ``placed`` network as an optimiser moves them: in float32 where the network computes in less.

    A step of SGD is a thousandth of a weight, and bfloat16 keeps eight bits of it: most steps would be lost.
    In any other precision these are the network's own parameters.

    Args:
        network: what computes with them.

    Attributes:
        named: each by its name in the network; until they are changed their values are the network's.
    """

    def __init__(self, network: Network) -> None:
        self._computed = list(network.parameters())
        self.named: dict[str, Tensor] = {
            name: parameter.detach().float() if parameter.dtype == torch.bfloat16 else parameter
            for name, parameter in network.named_parameters()
        }

    @property
    def parameters(self) -> list[Tensor]:
        """In the order of ``network.parameters()``."""
        return list(self.named.values())

    @torch.no_grad()
    def hand_over(self) -> None:
        """Give the network the parameters as they are now, rounded to its precision."""
        for computed, master in zip(self._computed, self.named.values(), strict=True):
            if computed is not master:
                computed.copy_(master)

    @torch.no_grad()
    def restore(self, named: Mapping[str, Tensor]) -> None:
        """Take values by name, and hand them over."""
        for name, master in self.named.items():
            master.copy_(named[name])
        self.hand_over()
