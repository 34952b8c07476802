"""Numbers and names as records' texts have them: counts, shares and short lists in words."""

from __future__ import annotations

from collections.abc import Sequence

NAMED = 4
"""The most names in a list; the others are counted."""


def counted(number: int, what: str) -> str:
    """``1 image`` or ``1,200 images``."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def share(fraction: float) -> str:
    """0.0123 as ``1.2%``, and 0.5 as ``50%``."""
    percent = 100 * fraction
    return f"{percent:.0f}%" if percent >= 9.95 else f"{percent:.2g}%"


def between(values: Sequence[int]) -> str:
    """``120``, or ``96 to 120`` if the values differ."""
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def listed(names: Sequence[str]) -> str:
    """``cat, dog, bird, fish and 12 more``."""
    more = len(names) - NAMED
    if more > 0:
        return f"{', '.join(names[:NAMED])} and {more:,} more"
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def channels_in_words(channels: int) -> str:
    """What images of 1 to 4 channels are called."""
    return {1: "grey", 2: "grey with alpha", 3: "colour", 4: "colour with alpha"}.get(channels, f"{channels} channels")
