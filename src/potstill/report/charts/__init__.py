"""Scales of charts, which map values to percent of a length, with ticks at round values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Tick:
    """A labelled position on a scale, in percent of its length."""

    position: float
    label: str


@dataclass(frozen=True)
class Scale:
    """The values from ``low`` to ``high`` along a length."""

    low: float
    high: float
    ticks: tuple[Tick, ...]
    logarithmic: bool = False

    def position(self, value: float) -> float:
        """The position of ``value``, in percent of the length; values outside the scale are clipped to its ends."""
        return _position(value, self.low, self.high, self.logarithmic)


def linear_scale(low: float, high: float, label: Callable[[float], str], ticks: int = 5, unit: float = 0.0) -> Scale:
    """A linear scale with ticks at round values.

    Args:
        low: the value at the start.
        high: the value at the end, above ``low``.
        label: formats the value of a tick.
        ticks: the approximate number of ticks.
        unit: a power of ten of which every tick is a multiple, because labels show no fractions of it; 0 for any ticks.
    """
    rough = (high - low) / ticks
    magnitude = 10.0 ** math.floor(math.log10(rough))
    factors = (1, 2, 5, 10) if unit else (1, 2, 2.5, 5, 10)
    step = min(factors, key=lambda factor: abs(math.log(factor * magnitude / rough))) * magnitude
    step = max(step, unit)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [index * step for index in range(first, last + 1)]
    return Scale(low, high, tuple(Tick(round(_position(value, low, high), 3), label(value)) for value in values))


def logarithmic_scale(
    low: float, high: float, label: Callable[[float], str], *, ticks: int = 7, round_values: Sequence[float] = ()
) -> Scale:
    """A logarithmic scale with ticks at powers of ten, or closer if there are fewer than three of these.

    Args:
        low: the value at the start, above 0.
        high: the value at the end, above ``low``.
        label: formats the value of a tick.
        ticks: the greatest number of ticks.
        round_values: values to choose ticks from, if at least two of them are on the scale.
    """
    low, high = (min(max(bound, 1e-300), 1e300) for bound in (low, high))  # so that every tick is a float
    low = low if low < high else high / 10
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [10.0**power for power in powers if low <= 10.0**power <= high]
    if len(values) < 3:
        values = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    chosen = [value for value in round_values if low <= value <= high]
    inside = chosen if len(chosen) > 1 else [value for value in values if low <= value <= high]
    shown = inside[:: math.ceil(len(inside) / ticks) or 1]
    return Scale(
        low,
        high,
        tuple(Tick(round(_position(value, low, high, True), 3), label(value)) for value in shown),
        True,
    )


def _position(value: float, low: float, high: float, logarithmic: bool = False) -> float:
    if logarithmic:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return 100 * min(max((value - low) / (high - low), 0), 1)
