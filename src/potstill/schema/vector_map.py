"""``map.json``: a set of vectors among real ones, in the plane in which these vary most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from potstill.schema import SetRecord
from potstill.schema.fields import Count

Place = tuple[float, float, Count]
"""Two coordinates and a class."""


@dataclass(frozen=True, kw_only=True)
class VectorMap(SetRecord):
    """The places of vectors in the plane of the first two principal components of some real vectors.

    Attributes:
        share: the part of the variance of the real vectors that the plane shows.
        real: real training vectors, equally many of each class where there are enough.
        synthetic: the vectors of the set, each with its most probable class.
    """

    SCHEMA: ClassVar[int | None] = 1
    FILE: ClassVar[str] = "map.json"

    share: float
    real: tuple[Place, ...]
    synthetic: tuple[Place, ...]
