"""The events of a run: their listeners, and their record, one JSON object per line, append-only."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from potstill.runtime.errors import UserError
from potstill.runtime.files import write_atomic
from potstill.runtime.lock import check_locks
from potstill.runtime.reading import cannot_read, cannot_write, open_regular, parse_json

Listener = Callable[[str, dict[str, Any]], None]
"""Called with the name and the fields of every event, whether or not it is recorded."""

LINE_BYTES = 2**24
"""The longest line that is read: a confusion matrix of a thousand classes takes 3 MB."""


def in_turn(*listeners: Listener) -> Listener:
    """A listener that passes every event to several others, one after the other.

    Args:
        listeners: the others, in their order.
    """

    def listen(event: str, fields: dict[str, Any]) -> None:
        for each in listeners:
            each(event, fields)

    return listen


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
            UserError: the line cannot be written, for instance to a full disk, or a lock was lost.
        """
        check_locks()
        line = json.dumps({"event": event, **fields}, ensure_ascii=False) + "\n"
        try:
            with self.path.open("a", encoding="utf-8", errors="backslashreplace") as stream:
                stream.write(line)
        except OSError as error:
            raise cannot_write(self.path, error, "free some space, then use `resume=True`") from error

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
        UserError: the file cannot be read, or a line other than the last is damaged.
    """
    try:
        # Bytes, because text also breaks lines at separators that JSON leaves inside its strings.
        with open_regular(path) as stream:
            number = 0
            while line := stream.readline(LINE_BYTES + 1):
                number += 1
                try:
                    yield _event(line)
                except json.JSONDecodeError as error:
                    if stream.peek(1):
                        raise _damaged(path, number, error) from error
                except ValueError as error:
                    raise _damaged(path, number, error) from error
    except FileNotFoundError:
        return
    except OSError as error:
        raise cannot_read(path, error) from error


def _event(line: bytes) -> dict[str, Any]:
    """The event in a line.

    Raises:
        JSONDecodeError: it was perhaps cut off.
        ValueError: it was never an event.
    """
    if len(line) > LINE_BYTES:
        raise ValueError(f"it has more than {LINE_BYTES:,} bytes")
    event = parse_json(line.decode("utf-8", "surrogateescape"), nonfinite=True)
    if not isinstance(event, dict):
        raise ValueError("it is not an object")
    iteration = event.get("iteration", 0)
    if type(iteration) is not int or iteration < 0:
        raise ValueError("iteration is not a whole number")
    return event


def _damaged(path: Path, number: int, error: ValueError) -> UserError:
    return UserError(f"{path}, line {number} is damaged: {error}", "delete that line")
