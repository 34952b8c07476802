"""A reader for the file of an offline run of wandb: LevelDB's log format, with wandb's own messages in it."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

BLOCK, HEADER = 32768, 7
WHOLE, LAST = 1, 4


def records(path: Path) -> Iterator[Any]:
    """The messages of a ``run-ID.wandb``, in order."""
    content = path.read_bytes()
    assert content[:4] == b":W&B"
    place, parts = HEADER, b""
    while place < len(content):
        left = BLOCK - place % BLOCK
        if left < HEADER:
            place += left
            continue
        _, size, kind = struct.unpack("<IHB", content[place : place + HEADER])
        parts += content[place + HEADER : place + HEADER + size]
        place += HEADER + size
        if kind in (WHOLE, LAST):
            yield wandb_internal_pb2.Record.FromString(parts)  # pyright: ignore[reportAttributeAccessIssue]
            parts = b""


def history(path: Path) -> list[dict[str, Any]]:
    """What was logged, each entry by name; names of parts are joined by slashes."""
    logged = (each.history for each in records(path) if each.WhichOneof("record_type") == "history")
    return [{_name(item): json.loads(item.value_json) for item in each.item} for each in logged]


def summary(path: Path) -> dict[str, Any]:
    """The summary in the end."""
    found = {}
    for each in records(path):
        if each.WhichOneof("record_type") == "summary":
            found |= {_name(item): json.loads(item.value_json) for item in each.summary.update}
    return found


def _name(item: Any) -> str:
    return item.key or "/".join(item.nested_key)
