"""What a command leaves, without what differs between two runs in any case: times, memory, the record of sessions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open

from potstill.runtime.files import sha256
from potstill.runtime.safetensors_io import SHA256

FLEETING = {"seconds", "distilled_seconds", "started", "peak_memory_bytes", "command", "reached"}
"""Fields that are times, or made of times, or tell how often a command was started."""


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below a folder by its path, hidden ones too."""
    return {
        path.relative_to(folder).as_posix(): sha256(lasting(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def lasting(path: Path) -> bytes:
    """The contents of a file that must not depend on interruptions."""
    match path.suffix, path.name:
        case ".json", _:
            return json.dumps(_lasting(json.loads(path.read_text()))).encode()
        case ".jsonl", _:
            events = [json.loads(line) for line in path.read_text().splitlines()]
            kept = [event for event in events if event["event"] in ("step", "validation")]
            return json.dumps(_lasting(kept)).encode()
        case _, "state.safetensors":
            # Its hash is over everything, the seconds included.
            with safe_open(path, framework="np") as archive:
                tensors = {name: archive.get_tensor(name).tobytes().hex() for name in sorted(archive.keys())}
                values = {name: text for name, text in archive.metadata().items() if name not in {*FLEETING, SHA256}}
            return json.dumps([tensors, dict(sorted(values.items()))]).encode()
        case ".html", "comparison.html":
            return b""  # it shows times
        case _:
            return path.read_bytes()


def _lasting(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _lasting(item) for name, item in sorted(value.items()) if name not in FLEETING}
    return [_lasting(item) for item in value] if isinstance(value, list) else value
