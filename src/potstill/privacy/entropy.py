"""Secret draws: the noise of private queries and the choice of their images, from the operating system's entropy.

No seed reproduces them, and nothing records where they came from. PyTorch's generator on the CPU keeps 32 bits of its
seed, so that whoever knows a dataset could try every seed and subtract the noise; it has no part in this.
"""

from __future__ import annotations

import math
import os

import numpy as np
import torch
from torch import Tensor

SUMMED = 4
"""Normal draws that are added up to one, so that the digits of none can be read from the sum."""


def random_bytes(count: int) -> bytes:
    """``count`` bytes from the operating system's cryptographic generator."""
    return os.urandom(count)


def gaussian(*shape: int) -> Tensor:
    """Independent standard normal draws, float64.

    Each is half the sum of four draws of the Box-Muller transform, after Holohan and Braghin, "Secure Random Sampling
    in Differential Privacy", ESORICS 2021 (arXiv:2107.10138).
    """
    count = math.prod(shape)
    total = torch.zeros(count, dtype=torch.float64)
    for _ in range(SUMMED // 2):
        radius = torch.log1p(-uniform(count)).mul_(-2).sqrt_()
        angle = uniform(count).mul_(2 * math.pi)
        total += radius * (angle.cos() + angle.sin())
    return total.div_(math.sqrt(SUMMED)).reshape(shape)


def poisson_sample(count: int, rate: float) -> Tensor:
    """Include each of ``count`` items independently with probability ``rate``.

    Returns:
        int64 (n,): the ascending indices of those included; n is random and may be 0.
    """
    return (uniform(count) < rate).nonzero().flatten()


def uniform(count: int) -> Tensor:
    """Independent draws from the multiples of 2**-53 in [0, 1), float64 (count,)."""
    whole = np.frombuffer(random_bytes(8 * count), dtype=np.uint64) >> np.uint64(11)
    return torch.from_numpy(whole.astype(np.float64) * 2.0**-53)
