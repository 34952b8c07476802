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
        time: how long the training took, as printed; empty if no time was printed.
    """

    mean: float
    std: float | None = None
    time: str = ""

    def __str__(self) -> str:
        """Mean ± standard deviation with one digit, or more if more were printed."""
        return _printed(self.mean) if self.std is None else f"{_printed(self.mean)} ± {_printed(self.std)}"

    def verdict(self, accuracy: float) -> Verdict:
        """Whether a measured accuracy, a fraction, lies inside, above or below mean ± std."""
        if self.std is None:
            return "no spread published"
        apart = 100 * accuracy - self.mean
        return "inside" if abs(apart) <= self.std else "above" if apart > 0 else "below"


@dataclass(frozen=True, kw_only=True)
class PublishedSearch(Record):
    """A published architecture search with a distilled set.

    Attributes:
        space: the name of the space that was searched.
        found: the name of the network that was found.
        accuracy: its accuracy when trained on the set, in percent.
        time: how long the search took, as printed.
        full: its accuracy when trained on the full data.
    """

    space: str
    found: str
    accuracy: float
    time: str
    full: Published


@dataclass(frozen=True, kw_only=True)
class PublishedIterations(Record):
    """Iterations that were done, and those of the published run; both 0 if images are chosen."""

    done: Count
    published: Count


def _printed(number: float) -> str:
    """91.0 as ``91.0``, 91.81 as ``91.81``."""
    shown = f"{number:.2f}"
    return shown.removesuffix("0")
