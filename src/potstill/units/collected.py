"""Results that come in any order, collected at their places."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, Protocol, TypeVar


class Measured(Protocol):
    """A result that may be a failure."""

    @property
    def failed(self) -> str | None:
        """Why there is no result; None if there is one."""
        ...

    @property
    def made_on(self) -> str | Sequence[str]:
        """The machine, precision and versions, in words; several if they differ between parts of the result."""
        ...


Place = TypeVar("Place", bound=Hashable)
M = TypeVar("M", bound=Measured)


class Collected(Generic[Place, M]):
    """The results so far.

    Attributes:
        made_on: the machines, precisions and versions of all of them, in the order in which they were first seen.
    """

    def __init__(self) -> None:
        self.made_on: dict[str, None] = {}
        self._results: dict[Place, M] = {}

    def take(self, place: Place, result: M) -> None:
        """Put a result at its place."""
        self._results[place] = result
        if result.failed is None:
            made_on = result.made_on
            self.made_on |= dict.fromkeys([made_on] if isinstance(made_on, str) else made_on)

    def without_gaps(self, places: Iterable[Place]) -> tuple[list[M], str | None]:
        """The results at places, up to the first that has none or where something failed.

        Args:
            places: in the order in which results count.

        Returns:
            The results; and why the next one failed, if it did.
        """
        found: list[M] = []
        for place in places:
            result = self._results.get(place)
            if result is None or result.failed is not None:
                return found, None if result is None else result.failed
            found.append(result)
        return found, None
