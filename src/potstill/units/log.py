"""``*.units.jsonl``: the result of each unit, as it ends. What is on record is never computed again."""

from __future__ import annotations

from pathlib import Path

from potstill.runtime.compute import Compute
from potstill.runtime.events import EventLog, read_events
from potstill.schema.fields import Fields
from potstill.units.unit import R, Unit, described

ENDED = "unit"
"""The name of the event that a unit has ended."""


class UnitLog:
    """The results of units, in memory and in a file beside the record that they are for.

    A result counts for the device, precision and compilation that it was computed with. The holder of the record's lock
    is the only writer. A line that was cut off by a kill is dropped.

    Args:
        path: the file, which need not exist; None keeps results in memory.

    Raises:
        UserError: a line other than the last is damaged.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._results: dict[tuple[str, str], Fields] = {}
        self._is_checked = False
        if path is not None:
            for line, event in enumerate(read_events(path), start=1):
                fields = Fields.of(path, event, f"line {line}.")
                self._results[fields.value("key", str), fields.value("compute", str)] = fields.part("result")

    @classmethod
    def beside(cls, record: Path | None) -> UnitLog:
        """The log of a record: of ``evaluation.json``, ``evaluation.units.jsonl``. Without a record, in memory."""
        if record is None:
            return cls()
        return cls(record.with_name(f"{record.name.removesuffix('.json')}.units.jsonl"))

    def get(self, unit: Unit[R], compute: Compute) -> R | None:
        """The result of a unit; None if it has none.

        Raises:
            UserError: it is damaged.
        """
        fields = self._results.get((unit.key, str(compute)))
        return None if fields is None else unit.result_from(fields)

    def add(self, unit: Unit[R], compute: Compute, result: R) -> None:
        """Record the result of a unit; it is in the file when this returns.

        Raises:
            UserError: the file cannot be written.
        """
        fields = result.to_json()
        self._results[unit.key, str(compute)] = Fields(self._path or Path("a result"), fields)
        if self._path is None:
            return
        log = EventLog(self._path)
        if not self._is_checked:  # otherwise the next line would be appended to one that was cut off
            log.truncate_after(0)
            self._is_checked = True
        log.append(ENDED, key=unit.key, compute=str(compute), unit=described(unit), result=fields)
