"""``map.json``: a set of vectors among real ones, in the plane in which these vary most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from potstill.schema import SetRecord
from potstill.schema.fields import Count

Place = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class VectorMap(SetRecord):
    """The places of vectors in the plane of the first two principal components of some real vectors.

    Attributes:
        share: the part of the variance of the real vectors that the plane shows.
        real: the places of real training vectors, equally many of each class where there are enough.
        real_labels: the class of each.
        synthetic: the places of the vectors of the set.
        labels: the class of each, or the most probable one.
    """

    SCHEMA: ClassVar[int | None] = 1
    FILE: ClassVar[str] = "map.json"

    share: float
    real: tuple[Place, ...]
    real_labels: tuple[Count, ...]
    synthetic: tuple[Place, ...]
    labels: tuple[Count, ...]
