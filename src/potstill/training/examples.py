"""What networks are trained on and describe: labelled images, real or synthetic."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Examples(Protocol):
    """Labelled images that can be asked for by index: a real or a synthetic set."""

    @property
    def labels(self) -> Tensor:
        """int64 (N,) classes, or float (N, classes) probabilities."""
        ...

    def __len__(self) -> int: ...

    def normalised(self, indices: Tensor | slice | None = None) -> Tensor:
        """float32 (n, C, H, W): the images at ``indices``, or all."""
        ...
