"""``metrics.jsonl``: the loss and the validation accuracy of a run, read from its events."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from potstill.runtime.events import read_events
from potstill.schema.fields import Count, Fields

LARGEST = 1e300
"""Losses of this size and beyond are as good as infinite: no axis can be drawn for them."""


@dataclass(frozen=True)
class Trace:
    """A quantity by iteration; both tuples have the same length."""

    iterations: tuple[float, ...] = ()
    values: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Traces:
    """The quantities that a run recorded.

    Attributes:
        losses: the distillation loss in ``step`` events.
        validations: the accuracy in ``validation`` events, a fraction.
    """

    losses: Trace
    validations: Trace

    @classmethod
    def read(cls, path: Path) -> Traces:
        """Read a ``metrics.jsonl``; a missing file gives empty traces.

        Values that are not finite, or too large to draw, are left out.

        Raises:
            UserError: a line is damaged; the error names the line and the field.
        """
        events = [Fields.of(path, event, f"line {line}.") for line, event in enumerate(read_events(path), start=1)]
        return cls(losses=_trace(events, "step", "loss"), validations=_trace(events, "validation", "accuracy"))


def _trace(events: list[Fields], event: str, quantity: str) -> Trace:
    points: list[tuple[float, float]] = []
    for fields in events:
        value = fields.values.get(quantity)
        if fields.values.get("event") != event or value is None:
            continue
        if type(value) is not float or abs(value) < LARGEST:  # a loss that is not finite is recorded as such
            points.append((float(fields.value("iteration", Count)), fields.value(quantity, float)))
    return Trace(tuple(iteration for iteration, _ in points), tuple(value for _, value in points))
