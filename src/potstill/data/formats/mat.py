"""MATLAB's ``.mat`` files of version 5 to 7.2, of plain numbers only.

SciPy's reader follows whatever such a file says, into cells, structures and objects, and a damaged file can crash
it. This one reads arrays of numbers and skips everything else.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from potstill.data.formats.bounds import PIECE, ByteStream, opened, read_array
from potstill.runtime.errors import UserError

REMEDY = "download it again"
HEADER = 128  # bytes: a text, the version and the order of bytes
ORDERS = {b"IM": "<", b"MI": ">"}
VERSIONS = {b"\x00\x01": "<", b"\x01\x00": ">"}
MATRIX, COMPRESSED = 14, 15
NUMBER_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
NUMBER_CLASSES = range(6, 16)  # double, single and integers; cells, structures, texts and objects are others
COMPLEX = 0x0800
MOST_DIMENSIONS, LONGEST_NAME = 8, 63


@dataclass(frozen=True)
class _Tag:
    """The head of an element: its type, the number of its bytes, and those bytes if they are within the head."""

    kind: int
    size: int
    content: bytes | None = None

    @property
    def padding(self) -> int:
        """Bytes to the next element, which begins at a multiple of eight."""
        return -self.size % 8 if self.content is None else 0


class _Inflated:
    """Decompresses a stream as it is read, never more of it than is asked for."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream, self._left, self._inflater = stream, size, zlib.decompressobj()

    def read(self, size: int, /) -> bytes:
        while not self._inflater.eof:
            waiting = self._inflater.unconsumed_tail
            if not waiting:
                waiting = self._stream.read(min(PIECE, self._left))
                self._left -= len(waiting)
            if not waiting:
                break
            if content := self._inflater.decompress(waiting, size):
                return content
        return b""


def read_mat(path: Path, wanted: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Read variables of a file.

    Args:
        path: the file.
        wanted: the names of the variables; None reads all that hold plain numbers.

    Returns:
        The variables that were found, by name, in the types in which they are stored.

    Raises:
        UserError: the file is absent, damaged or of another version, or a variable does not fit in memory.
    """
    with opened(path, REMEDY) as stream:
        size = os.fstat(stream.fileno()).st_size
        order = _order(stream.read(HEADER), path)
        found: dict[str, np.ndarray] = {}
        place = HEADER
        while place + 8 <= size:
            stream.seek(place)
            tag = _tag(stream, order)
            place += 8 + (0 if tag.content is not None else tag.size)
            if tag.kind == COMPRESSED:
                inflated = _Inflated(stream, tag.size)
                if _tag(inflated, order).kind == MATRIX:
                    found.update(_variable(inflated, order, wanted, path, size))
            elif tag.kind == MATRIX:
                place += tag.padding
                found.update(_variable(stream, order, wanted, path, size))
        return found


def _order(header: bytes, path: Path) -> str:
    if header.startswith(b"MATLAB 7.3"):
        raise UserError(f"{path} is a MATLAB file of version 7.3, which is not read", "save it again with -v7")
    order = ORDERS.get(header[126:128])
    if order is None or VERSIONS.get(header[124:126]) != order:
        raise UserError(f"{path} is not a MATLAB file of version 5 to 7.2", REMEDY)
    return order


def _variable(
    stream: ByteStream, order: str, wanted: Collection[str] | None, path: Path, stored: int
) -> Iterator[tuple[str, np.ndarray]]:
    """The name and the numbers of one variable, unless it is of another kind or not wanted."""
    flags = np.frombuffer(_content(stream, order, 16), f"{order}u4")
    sides = np.frombuffer(_content(stream, order, 4 * MOST_DIMENSIONS), f"{order}i4")
    name = _content(stream, order, LONGEST_NAME).decode("ascii")
    if int(flags[0]) & 0xFF not in NUMBER_CLASSES or (wanted is not None and name not in wanted):
        return
    where = f"{path}, {name}"
    tag = _tag(stream, order)
    if int(flags[0]) & COMPLEX or tag.kind not in NUMBER_TYPES:
        raise UserError(f"{where} does not hold plain numbers", REMEDY)
    dtype = np.dtype(order + NUMBER_TYPES[tag.kind])
    shape = [int(side) for side in sides]
    if tag.content is not None:
        yield name, np.frombuffer(tag.content, dtype).reshape(shape, order="F")
        return
    array = read_array(stream, dtype, shape, stored=stored, where=where, order="F")
    if array.nbytes != tag.size:
        raise UserError(f"{where} is damaged: its shape {tuple(shape)} does not fit its numbers", REMEDY)
    yield name, array


def _tag(stream: ByteStream, order: str) -> _Tag:
    head = _exactly(stream, 8)
    first, second = (int(word) for word in np.frombuffer(head, f"{order}u4"))
    if first >> 16:  # so few bytes that they are within the head
        if first >> 16 > 4:
            raise ValueError("it has an element of an impossible size")
        return _Tag(first & 0xFFFF, first >> 16, head[4 : 4 + (first >> 16)])
    return _Tag(first, second)


def _content(stream: ByteStream, order: str, most: int) -> bytes:
    """The bytes of a short element."""
    tag = _tag(stream, order)
    if tag.content is not None:
        return tag.content
    if tag.size > most:
        raise ValueError("it has an element of an impossible size")
    return _exactly(stream, tag.size + tag.padding)[: tag.size]


def _exactly(stream: ByteStream, size: int) -> bytes:
    content = b""
    while len(content) < size:
        piece = stream.read(size - len(content))
        if not piece:
            raise ValueError("it is truncated")
        content += piece
    return content
