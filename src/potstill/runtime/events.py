"""The event record of a run: one JSON object per line, append-only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from potstill.runtime.errors import UserError
from potstill.runtime.files import write_atomic


class EventLog:
    """Appends events to a ``metrics.jsonl``; each line reaches the file before ``append`` returns.

    Args:
        path: the file; it is created by the first event.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, event: str, **fields: Any) -> None:
        """Record one event.

        Args:
            event: its name.
            fields: JSON values.

        Raises:
            UserError: the line cannot be written, for instance to a full disk.
        """
        line = json.dumps({"event": event, **fields}, ensure_ascii=False) + "\n"
        try:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(line)
        except OSError as error:
            raise UserError(
                f"cannot write {self.path}: {error.strerror or error}", "free some space, then use --resume"
            ) from error

    def truncate_after(self, iteration: int, **earlier: int) -> None:
        """Drop the events after ``iteration``: a resumed run will record them again.

        Args:
            iteration: the last iteration whose events stay.
            earlier: a different last iteration for the events of some names.
        """
        kept = [
            event
            for event in read_events(self.path)
            if event.get("iteration", 0) <= earlier.get(str(event.get("event")), iteration)
        ]
        write_atomic(self.path, "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in kept))


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """The events of a ``metrics.jsonl`` in order; a last line that was cut off by a kill is skipped.

    Raises:
        UserError: a line other than the last is damaged.
    """
    if not path.exists():
        return
    # Bytes, because text also breaks lines at separators that JSON leaves inside its strings.
    lines = path.read_bytes().splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            yield json.loads(line)
        except ValueError as error:
            if number < len(lines):
                raise UserError(f"{path}, line {number} is damaged: {error}", "delete that line") from error
