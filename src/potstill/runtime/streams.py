"""Named random streams: every draw is a function of the seed and of its purpose."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Streams:
    """A tree of independent random streams that grow from one seed.

        streams = Streams(seed=0)
        noise = torch.randn(3, generator=streams.generator("noise"))
        iteration = streams.child("iteration", 17)
        batch = torch.randperm(100, generator=iteration.generator("real batch"))

    A stream is named by a path such as ``("iteration", 17, "real batch")``. Its generator depends only on the seed
    and the path, not on earlier draws or global state. A run that is resumed at iteration 17 therefore draws what the
    uninterrupted run drew: the iteration number is the whole position of a stream.

    Attributes:
        seed: any integer.
        path: where this subtree begins; empty at the root.
    """

    seed: int
    path: tuple[str | int, ...] = ()

    def child(self, *path: str | int) -> Streams:
        """The subtree below ``path``."""
        return Streams(self.seed, self.path + path)

    def derived_seed(self, *path: str | int) -> int:
        """A 63-bit seed for the stream at ``path``."""
        text = repr((self.seed, self.path + path)).encode()
        return int.from_bytes(hashlib.sha256(text).digest()[:8], "little") >> 1

    def generator(self, *path: str | int) -> torch.Generator:
        """A new generator for the stream at ``path``.

        It is always a CPU generator, so that a seed draws the same numbers whatever the device.
        """
        return torch.Generator().manual_seed(self.derived_seed(*path))
