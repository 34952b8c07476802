"""Safetensors files: equal contents give equal bytes, and reading them executes nothing.

The header of a file may declare anything. It is checked in full against the size of the file before memory is taken.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from potstill.runtime.bounds import memory_bytes
from potstill.runtime.reading import open_regular, parse_json

UNREADABLE = (SafetensorError, OSError)
"""The exceptions of :func:`read_safetensors` for a file that is truncated or not safetensors."""

DTYPES: Mapping[str, tuple[str, str | None, int]] = {
    "F64": ("float64", "<f8", 8),
    "F32": ("float32", "<f4", 4),
    "F16": ("float16", "<f2", 2),
    "BF16": ("bfloat16", None, 2),
    "I64": ("int64", "<i8", 8),
    "I32": ("int32", "<i4", 4),
    "I16": ("int16", "<i2", 2),
    "I8": ("int8", "<i1", 1),
    "U8": ("uint8", "<u1", 1),
    "BOOL": ("bool", "?", 1),
}
"""The types of tensors that are read: their names in PyTorch and NumPy, and their bytes per element."""

SHA256 = "sha256"
"""The name of the metadata that holds ``content_sha256`` of all tensors and of the other metadata, where it is kept."""

HEADER_BYTES = 100_000_000
DIMENSIONS = 16
LARGEST = 2**48
"""Elements of a tensor, if a dimension of 0 is counted as 1: beyond it, strides would not fit 64 bits."""


@dataclass(frozen=True)
class DeclaredTensor:
    """One tensor as the header declares it.

    Attributes:
        name: its name.
        dtype: its type, a key of ``DTYPES``.
        shape: its shape.
        begin: where it begins in the file, in bytes.
        end: where it ends.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    def __str__(self) -> str:
        """Type and shape, such as ``float32 (10, 1, 28, 28)``."""
        return f"{DTYPES[self.dtype][0]} {self.shape}"


def read_safetensors(
    path: Path, framework: str = "pt", *, choose: Callable[[str], bool] = lambda _: True
) -> tuple[dict[str, Any], dict[str, str]]:
    """Read the tensors and the metadata of a file.

    Args:
        path: the file.
        framework: ``pt`` for PyTorch tensors, ``np`` for NumPy arrays.
        choose: whether to read the tensor of a name; by default all are read.

    Returns:
        The tensors by name, in alphabetical order, and the metadata.

    Raises:
        FileNotFoundError: there is no such file.
        SafetensorError, OSError: the file is truncated or not safetensors; see ``UNREADABLE``.
    """
    with _opened(path) as (stream, entries, metadata):
        chosen = [entry for entry in entries if choose(entry.name)]
        needed = sum(entry.end - entry.begin for entry in chosen)
        if needed > memory_bytes():
            raise SafetensorError(f"its tensors have {needed:,} bytes, more than the memory of this machine")
        read = _read_array if framework == "np" else _read_tensor
        return {entry.name: read(stream, entry) for entry in chosen}, metadata


def read_header(path: Path) -> tuple[dict[str, DeclaredTensor], dict[str, str]]:
    """What a file declares of its tensors, by name in alphabetical order, and its metadata; no tensor is read.

    Raises:
        FileNotFoundError: there is no such file.
        SafetensorError, OSError: the file is truncated or not safetensors; see ``UNREADABLE``.
    """
    with _opened(path) as (_, entries, metadata):
        return {entry.name: entry for entry in entries}, metadata


def content_sha256(tensors: Mapping[str, Any], metadata: Mapping[str, str]) -> str:
    """The SHA-256 of tensors and metadata, which shows whether a file was changed.

    Args:
        tensors: PyTorch tensors by name, on the CPU.
        metadata: texts by name.
    """
    import torch

    digest = hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        if tensor.numel():
            digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


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


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BufferedReader, list[DeclaredTensor], dict[str, str]]]:
    """The open file, what its header declares, and its metadata."""
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        try:
            yield stream, *_declared(stream, size)
        except ValueError as error:  # this includes the errors of JSON and UTF-8
            raise SafetensorError(str(error)) from error


def _declared(stream: BufferedReader, size: int) -> tuple[list[DeclaredTensor], dict[str, str]]:
    """The tensors that the header declares, in alphabetical order, and the metadata.

    Raises:
        ValueError: the header is damaged, or the tensors do not fill the rest of the file exactly.
    """
    length = int.from_bytes(stream.read(8), "little")
    if size < 8 or length > min(size - 8, HEADER_BYTES):
        raise ValueError("the header is longer than the file" if length <= HEADER_BYTES else "it has no header")
    header = parse_json(stream.read(length))
    if not isinstance(header, dict):
        raise ValueError("the header is not an object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise ValueError("the metadata contain something other than text")
    entries = [_entry(name, declared, 8 + length) for name, declared in sorted(header.items())]
    end = 8 + length
    for entry in sorted(entries, key=lambda entry: (entry.begin, entry.end)):
        if entry.begin != end:
            raise ValueError(f"tensor {entry.name!r} does not begin where the one before it ends")
        end = entry.end
    if end != size:
        raise ValueError(f"its tensors end at byte {end:,}, the file at byte {size:,}")
    return entries, metadata


def _entry(name: str, declared: Any, start: int) -> DeclaredTensor:
    """One entry of the header.

    Args:
        name: the name of the tensor.
        declared: what the header says of it.
        start: where the tensors begin in the file.

    Raises:
        ValueError: it is malformed, or the number of bytes does not fit shape and type.
    """
    if not isinstance(declared, dict) or declared.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"tensor {name!r} is not declared by dtype, shape and data_offsets")
    dtype, shape, offsets = declared["dtype"], declared["shape"], declared["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"tensor {name!r} has the unknown type {dtype!r}")
    if not _are_sizes(shape) or len(shape) > DIMENSIONS or math.prod(max(side, 1) for side in shape) > LARGEST:
        raise ValueError(f"tensor {name!r} has an impossible shape")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise ValueError(f"tensor {name!r} has malformed offsets")
    begin, end = offsets
    if end - begin != math.prod(shape) * DTYPES[dtype][2]:
        raise ValueError(f"tensor {name!r} has {end - begin:,} bytes, which do not fit {dtype} {shape}")
    return DeclaredTensor(name, dtype, tuple(shape), start + begin, start + end)


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)


def _read_array(stream: BufferedReader, entry: DeclaredTensor) -> np.ndarray:
    name = DTYPES[entry.dtype][1]
    if name is None:
        raise ValueError(f"tensor {entry.name!r} has the type {entry.dtype}, which NumPy lacks")
    array = np.empty(entry.shape, name)
    _fill(stream, entry, array.reshape(-1).view(np.uint8))
    return array


def _read_tensor(stream: BufferedReader, entry: DeclaredTensor) -> Any:
    import torch

    tensor = torch.empty(entry.shape, dtype=getattr(torch, DTYPES[entry.dtype][0]))
    _fill(stream, entry, tensor.reshape(-1).view(torch.uint8).numpy())
    return tensor


def _fill(stream: BufferedReader, entry: DeclaredTensor, content: np.ndarray) -> None:
    """Read the bytes of a tensor.

    Args:
        stream: the open file.
        entry: the tensor.
        content: uint8 (bytes,), filled in place.
    """
    stream.seek(entry.begin)
    if stream.readinto(content.data) != len(content):
        raise ValueError(f"the file ends within tensor {entry.name!r}")
    if entry.dtype == "BOOL" and content.size and content.max() > 1:
        raise ValueError(f"tensor {entry.name!r} has truth values other than 0 and 1")
