"""The header of a safetensors file, which says what stands where, and its metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping


def with_metadata(archive: bytes, metadata: Mapping[str, str]) -> bytes:
    """The same tensors with this metadata in alphabetical order: equal contents make equal bytes.

    Args:
        archive: the contents of a safetensors file.
        metadata: text by name.
    """
    end = 8 + int.from_bytes(archive[:8], "little")
    header = json.loads(archive[8:end])
    tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
    described = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    text = json.dumps({**described, **tensors}, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # so that the tensors stay aligned
    return len(text).to_bytes(8, "little") + text + archive[end:]
