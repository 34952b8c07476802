"""Equal distances: the first image wins, whatever the machine's rounding makes of them."""

from __future__ import annotations

from torch import Tensor

TOLERANCE = 1e-10


def first_smallest(values: Tensor, scale: float) -> int:
    """The first position of values (n,) that are as small as the smallest, to ten digits of ``scale``."""
    return int((values <= values.min() + TOLERANCE * scale).nonzero()[0])
