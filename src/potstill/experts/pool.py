"""A pool of networks: stored experts, each with its weights before and after training, and mixtures of the two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from potstill.networks.weights import Weights, WeightsFile
from potstill.runtime.bounds import memory_bytes

MEMORY_SHARE = 16
"""The pool is kept in memory if it takes at most this fraction of it; otherwise its files are read again and again."""


class PooledExpert(NamedTuple):
    """A network of the pool.

    Attributes:
        initial: its weights before training.
        trained: its weights after training.
        file: where they come from.
    """

    initial: Weights
    trained: Weights
    file: WeightsFile


class ExpertPool:
    """Stored experts to draw from.

    Args:
        files: the experts, each with its first and its last epoch.
    """

    def __init__(self, files: Sequence[WeightsFile]) -> None:
        self.files = files
        size = sum(tensor.nbytes for tensor in files[0].read().values())
        self._keeps = 2 * size * len(files) <= memory_bytes() / MEMORY_SHARE
        self._kept: dict[int, PooledExpert] = {}

    def draw(self, generator: torch.Generator) -> PooledExpert:
        """One of the networks, each with equal probability.

        Args:
            generator: a CPU generator.

        Raises:
            UserError: its file is damaged.
        """
        number = int(torch.randint(len(self.files), (), generator=generator))
        if number in self._kept:
            return self._kept[number]
        file = self.files[number]
        entry = PooledExpert(file.read(file.epochs[0]), file.read(file.epochs[-1]), file)
        if self._keeps:
            self._kept[number] = entry
        return entry


def mixed(entry: PooledExpert, share: float) -> Weights:
    """The weights share * initial + (1 - share) * trained, in float64; integers are those of the trained.

    Args:
        entry: a network of the pool.
        share: between 0 and 1.
    """
    return {
        name: trained.double().lerp(entry.initial[name].double(), share) if trained.is_floating_point() else trained
        for name, trained in entry.trained.items()
    }
