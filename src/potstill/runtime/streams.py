"""Named random streams: every draw is a function of the seed and of what it is for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Streams:
    """A tree of independent random streams grown from one seed.

    A stream is named by a path such as ``("real batch", 17)``. Its generator depends on nothing but the seed and
    the path: not on what was drawn before, nor on any global state. A run that is resumed at iteration 17 therefore
    draws what the uninterrupted run drew, and the iteration number is the whole position of the stream.
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
        """A fresh CPU generator for the stream at ``path``.

        It always lives on the CPU, so that one seed draws the same numbers whatever the device.
        """
        return torch.Generator().manual_seed(self.derived_seed(*path))
