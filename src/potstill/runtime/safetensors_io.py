"""Safetensors files of which equal contents make equal bytes; nothing in them can run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

UNREADABLE = (SafetensorError, OSError)
"""What reading a file that is not whole safetensors raises."""


def read_safetensors(path: Path, framework: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The tensors of a file by name, and its metadata.

    Args:
        path: the file.
        framework: ``pt`` for tensors of PyTorch, ``np`` for arrays.

    Raises:
        FileNotFoundError: there is no such file.
        SafetensorError, OSError: it is truncated, or something else; see ``UNREADABLE``.
    """
    with safe_open(path, framework=framework) as archive:
        return {name: archive.get_tensor(name) for name in archive.keys()}, archive.metadata() or {}  # noqa: SIM118


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


def pack(arrays: Mapping[str, Any], metadata: Mapping[str, str]) -> bytes:
    """The contents of a safetensors file, its metadata in alphabetical order: safetensors writes them in a random one.

    Args:
        arrays: what has ``numpy()``, or NumPy arrays; contiguous, on the CPU.
        metadata: text by name.
    """
    from safetensors.numpy import save

    plain = {name: array.numpy() if hasattr(array, "numpy") else array for name, array in arrays.items()}
    return with_metadata(save(plain), metadata)
