"""What a publication printed about a result, as tables and their re-runs repeat it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from potstill.schema import Record
from potstill.schema.fields import Count

Verdict = Literal["inside", "above", "below", "no spread published", "nothing published"]


@dataclass(frozen=True)
class Published(Record):
    """A published accuracy, in percent.

    Attributes:
        mean: the mean as printed.
        std: the standard deviation as printed; None if none was printed.
    """

    mean: float
    std: float | None = None

    def __str__(self) -> str:
        """Mean ± standard deviation, as in tables."""
        return f"{self.mean:.1f}" if self.std is None else f"{self.mean:.1f} ± {self.std:.1f}"

    def verdict(self, accuracy: float) -> Verdict:
        """Whether a measured accuracy, a fraction, lies inside, above or below mean ± std."""
        if self.std is None:
            return "no spread published"
        apart = 100 * accuracy - self.mean
        return "inside" if abs(apart) <= self.std else "above" if apart > 0 else "below"


@dataclass(frozen=True, kw_only=True)
class PublishedIterations(Record):
    """Iterations that were done, and those of the published run; both 0 if images are chosen."""

    done: Count
    published: Count
