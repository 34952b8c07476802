"""The shape of an image or of a vector: a vector of D numbers is an image of one pixel with D channels."""

from __future__ import annotations

import math
from collections.abc import Sequence


def is_vector(shape: Sequence[int]) -> bool:
    """Whether (C, H, W) is the shape of a vector."""
    return tuple(shape[1:]) == (1, 1)


def bytes_of(shape: Sequence[int]) -> int:
    """The size of real data of the shape (C, H, W): an image as 8-bit pixels, or a vector as 32-bit numbers."""
    return math.prod(shape) * (4 if is_vector(shape) else 1)


def kind_of(shape: Sequence[int]) -> str:
    """What has the shape (C, H, W): ``image`` or ``vector``."""
    return "vector" if is_vector(shape) else "image"


def shape_in_words(shape: Sequence[int]) -> str:
    """``images of 3×32×32 pixels`` or ``vectors of 512 numbers``."""
    if is_vector(shape):
        return f"vectors of {shape[0]:,} numbers"
    return f"images of {'×'.join(map(str, shape))} pixels"
