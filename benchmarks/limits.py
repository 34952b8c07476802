"""The least time that a piece of work can take: its arithmetic, counted, at the speed of a convolution, measured."""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from potstill.engine.layout import arrange_images, channels_last_weights
from potstill.runtime.compute import Compute
from potstill.runtime.parallel import one_thread

IMAGES, CHANNELS, SIDE = 64, 128, 16
"""The maps that the measured convolution takes and gives: those of the second block of the standard ConvNet."""


class Operations(TorchDispatchMode):
    """Counts the additions and multiplications of convolutions and matrix products that this thread makes within it.

    Attributes:
        count: so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if (count_of := flop_registry.get(func._overloadpacket)) is not None:
            self.count += count_of(*args, **(kwargs or {}), out_val=made)
        return made


def operations_per_second(compute: Compute, *, trials: int = 5) -> float:
    """How many operations a 3x3 convolution makes in a second: of one core of a CPU, or on the whole of another device.

    Args:
        compute: device and precision.
        trials: the median of as many is taken.
    """
    maps = arrange_images(torch.randn(IMAGES, CHANNELS, SIDE, SIDE), compute)
    weights = channels_last_weights(torch.randn(CHANNELS, CHANNELS, 3, 3).to(compute.device, compute.dtype))
    times, clock = (1, time.process_time) if compute.device.type == "cpu" else (100, time.perf_counter)

    def seconds() -> float:
        started = clock()
        for _ in range(times):
            F.conv2d(maps, weights, padding=1)
        if compute.device.type == "cuda":
            torch.cuda.synchronize()
        return clock() - started

    with one_thread(), torch.no_grad():
        seconds()
        taken = statistics.median(seconds() for _ in range(trials))
    return times * 2 * IMAGES * SIDE * SIDE * CHANNELS * CHANNELS * 9 / taken
