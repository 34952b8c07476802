"""How much memory an iteration takes on a CPU, about, from the shapes of what it computes.

The factors were fitted to the measured peaks of ``benchmarks.planned_memory``: there the plans of ConvNets are between
0.98 and 1.25 times what the process came to take, those of ResNets up to 1.6 times, and those of private methods
between 1.04 and 1.43 times.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from potstill.engine.layout import chunk_size, keeps_graphs, part_size
from potstill.networks import Network
from potstill.runtime.compute import Compute
from potstill.runtime.machine import core_count

FIXED_BYTES = 60_000_000
"""What the first use of PyTorch's operations takes, and fragmentation of the heap."""
KEPT_GRAPH, PASSING_GRAPH, DOUBLE_GRAPH = 1.35, 2.0, 3.0
"""Of the maps of a network: while graphs are kept, while each is computed and used, and if gradients have gradients."""
LARGEST_MAPS = 2.5
"""Of the largest map of a network, without a graph: a layer's input, its output and what it computes with."""
EACH_GRADIENT, SUMMED_GRADIENTS = 20, 40
"""Bytes for each parameter: of the gradient of one image, which is copied in double precision, and of their sums."""


def of_features(
    network: Network, compute: Compute, shape: Sequence[int], images: int, real_images: int, real: float
) -> float:
    """The bytes that it takes to match features.

    Args:
        network: that describes the images.
        compute: where it runs.
        shape: (C, H, W) of the images.
        images: the number of synthetic images of an iteration.
        real_images: the number of real images of an iteration.
        real: the bytes that real images take.
    """
    all_images = torch.empty(images, *shape, device="meta")
    whole = _map_bytes(network, compute, shape)
    chunk = core_count() * chunk_size(all_images, network, compute.device)
    if network.needs_whole_batches:  # batch norms see all images at once
        synthetic = KEPT_GRAPH * images * whole
        real += LARGEST_MAPS * real_images * max(network.map_sizes(all_images)) * compute.dtype.itemsize
    else:
        synthetic = (
            KEPT_GRAPH * images if keeps_graphs(all_images, network, compute) else PASSING_GRAPH * chunk
        ) * whole
        real += chunk * whole
    return FIXED_BYTES + max(synthetic, real) + 8 * _parameters(network)


def of_gradients(
    network: Network,
    compute: Compute,
    shape: Sequence[int],
    images: int,
    batch_real: int,
    classes: int,
    real: float,
) -> float:
    """The bytes that it takes to match gradients class by class.

    Args:
        network: whose gradients are matched.
        compute: where it runs.
        shape: (C, H, W) of the images.
        images: the number of synthetic images of a class.
        batch_real: the number of real images of a class.
        classes: the number of classes whose gradients are in memory at once.
        real: the bytes that real images take.
    """
    whole = _map_bytes(network, compute, shape)
    part = part_size(torch.empty(batch_real, *shape, device="meta"), network, compute.device)
    synthetic = DOUBLE_GRAPH * core_count() * images * whole
    of_real = PASSING_GRAPH * core_count() * part * whole
    gradients = 4 * (classes + 10) * _parameters(network)
    return FIXED_BYTES + real + max(synthetic, of_real) + gradients


def of_each_gradient(
    network: Network, compute: Compute, shape: Sequence[int], images: int, at_once: int, real: float
) -> float:
    """The bytes that it takes to match the sum of the gradients of single real images.

    Args:
        network: whose gradients are matched.
        compute: where it runs.
        shape: (C, H, W) of the images.
        images: the number of all synthetic images, whose gradient is that of one batch.
        at_once: the number of real images whose gradients are in memory at once.
        real: the bytes that real images take.
    """
    whole, parameters = _map_bytes(network, compute, shape), _parameters(network)
    synthetic = DOUBLE_GRAPH * images * whole
    of_real = real + at_once * (PASSING_GRAPH * whole + EACH_GRADIENT * parameters)
    return FIXED_BYTES + max(synthetic, of_real) + SUMMED_GRADIENTS * parameters


def _map_bytes(network: Network, compute: Compute, shape: Sequence[int]) -> int:
    """What the maps of one image take."""
    return sum(network.map_sizes(torch.empty(1, *shape))) * compute.dtype.itemsize


def _parameters(network: Network) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
