"""What every reader checks: the size that a file declares, and any failure of the library that parses it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Protocol

import numpy as np

from potstill.runtime.bounds import check_memory
from potstill.runtime.errors import UserError, in_one_line
from potstill.runtime.reading import open_regular

DEFLATE_RATIO = 1032
"""The most bytes that a byte of deflated data, as in gzip, zip and MATLAB files, can stand for."""
PIECE = 2**20  # bytes read at a time


class ByteStream(Protocol):
    """A stream of bytes, perhaps decompressed as it is read."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes; none at the end."""
        ...


@contextmanager
def opened(path: Path, remedy: str, kind: str | None = None) -> Iterator[BufferedReader]:
    """Open a regular file; whatever fails while it is parsed is reported as one error with its name.

    Args:
        path: the file.
        remedy: what to do if it is damaged.
        kind: what it should be, for the error, if its name does not say so.

    Raises:
        UserError: it cannot be opened, or parsing it failed.
    """
    try:
        with open_regular(path) as stream:
            yield stream
    except (UserError, GeneratorExit):
        raise
    except Exception as error:  # parsers raise nearly anything on a damaged file
        what = path if kind is None else f"{kind} in {path}"
        raise UserError(f"cannot read {what}: {in_one_line(error)}", remedy) from error


def check_size(declared: int, stored: int, where: str) -> None:
    """Check a declared size before anything is allocated.

    Args:
        declared: the bytes that a header promises.
        stored: the bytes of the file that hold them, perhaps deflated.
        where: their name in errors.

    Raises:
        UserError: the stored bytes cannot hold so many, or they do not fit in memory.
    """
    if declared > stored * DEFLATE_RATIO:
        raise UserError(
            f"{where} is damaged: {stored:,} bytes cannot hold the {declared:,} that its header promises",
            "replace it with an intact copy",
        )
    check_memory(where, declared, "use fewer or smaller images")


def read_array(
    stream: ByteStream, dtype: np.dtype, shape: Sequence[int], *, stored: int, where: str, order: str = "C"
) -> np.ndarray:
    """Read an array, in pieces: a stream that ends early costs no more memory than what it held.

    Args:
        stream: stands at the first number.
        dtype: of the numbers; a plain one.
        shape: as declared by the file.
        stored: the bytes of the file that hold them, perhaps deflated.
        where: their name in errors.
        order: ``C`` or ``F``, as in NumPy.

    Raises:
        UserError: the shape is impossible, or the stream ends early.
    """
    if any(side < 0 for side in shape) or len(shape) > 8:
        raise UserError(f"{where} has the impossible shape {tuple(shape)}", "replace it with an intact copy")
    size = math.prod(shape) * dtype.itemsize
    check_size(size, stored, where)
    content = np.empty(size, np.uint8)
    filled = 0
    while filled < size:
        piece = stream.read(min(PIECE, size - filled))
        if not piece:
            raise UserError(
                f"{where} is truncated: it has {filled:,} of {size:,} bytes", "replace it with an intact copy"
            )
        content[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
        filled += len(piece)
    array = content.view(dtype)
    return array.reshape(shape) if order == "C" else array.reshape(tuple(shape)[::-1]).T
