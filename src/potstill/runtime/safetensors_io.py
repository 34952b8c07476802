"""Safetensors files: equal contents give equal bytes, and reading them executes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

UNREADABLE = (SafetensorError, OSError)
"""The exceptions of :func:`read_safetensors` for a file that is truncated or not safetensors."""


def read_safetensors(path: Path, framework: str = "pt", *, prefix: str = "") -> tuple[dict[str, Any], dict[str, str]]:
    """Read the tensors and the metadata of a file.

    Args:
        path: the file.
        framework: ``pt`` for PyTorch tensors, ``np`` for NumPy arrays.
        prefix: reads only the tensors whose names begin with it.

    Returns:
        The tensors by name, and the metadata.

    Raises:
        FileNotFoundError: there is no such file.
        SafetensorError, OSError: the file is truncated or not safetensors; see ``UNREADABLE``.
    """
    with safe_open(path, framework=framework) as archive:
        tensors = {name: archive.get_tensor(name) for name in archive.keys() if name.startswith(prefix)}  # noqa: SIM118
        return tensors, archive.metadata() or {}


def tensor_names(path: Path) -> tuple[list[str], dict[str, str]]:
    """The names of the tensors of a file, and its metadata, without reading a tensor.

    Raises:
        FileNotFoundError: there is no such file.
        SafetensorError, OSError: the file is truncated or not safetensors; see ``UNREADABLE``.
    """
    with safe_open(path, framework="np") as archive:
        return list(archive.keys()), archive.metadata() or {}


def with_metadata(archive: bytes, metadata: Mapping[str, str]) -> bytes:
    """A copy of an archive with other metadata, in alphabetical order, so that equal contents give equal bytes.

    Args:
        archive: the contents of a safetensors file.
        metadata: texts by name.
    """
    end = 8 + int.from_bytes(archive[:8], "little")
    header = json.loads(archive[8:end])
    tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
    described = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    text = json.dumps({**described, **tensors}, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # keeps the tensors aligned
    return len(text).to_bytes(8, "little") + text + archive[end:]


def pack(arrays: Mapping[str, Any], metadata: Mapping[str, str]) -> bytes:
    """The contents of a safetensors file with sorted metadata; safetensors itself writes them in random order.

    Args:
        arrays: PyTorch tensors or NumPy arrays by name; contiguous, on the CPU.
        metadata: texts by name.
    """
    from safetensors.numpy import save

    plain = {name: array.numpy() if hasattr(array, "numpy") else array for name, array in arrays.items()}
    return with_metadata(save(plain), metadata)
