"""The idx files of MNIST and its descendants, plain or gzipped."""

from __future__ import annotations

import gzip
import math
import os
from pathlib import Path

import numpy as np

from potstill.data.formats.bounds import ByteStream, opened, read_array
from potstill.runtime.errors import UserError

GZIP_MAGIC = b"\x1f\x8b"
NUMBER_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
REMEDY = "download it again"


def read_idx(path: Path) -> np.ndarray:
    """Read an idx file.

    The file begins with two zeros, the type of the numbers, the number of dimensions and each side as a 32-bit integer;
    LeCun, Cortes and Burges, "The MNIST database". Whether it is gzipped is judged by its first bytes, not by its name.

    Args:
        path: the file.

    Returns:
        The array with its shape and type.

    Raises:
        UserError: the file is absent, truncated, too long or not idx.
    """
    with opened(path, REMEDY) as stream:
        stored = os.fstat(stream.fileno()).st_size
        zipped = stream.read(2) == GZIP_MAGIC
        stream.seek(0)
        if not zipped:
            return _parse(stream, path, stored)
        with gzip.GzipFile(fileobj=stream) as unzipped:
            return _parse(unzipped, path, stored)


def _parse(stream: ByteStream, path: Path, stored: int) -> np.ndarray:
    header = stream.read(4)
    if len(header) < 4 or header[:2] != b"\0\0" or header[2] not in NUMBER_TYPES or not 1 <= header[3] <= 4:
        raise UserError(f"{path} is not an idx file: it begins with {header.hex(' ') or 'nothing'}", REMEDY)
    sides = stream.read(4 * header[3])
    shape = [int.from_bytes(sides[start : start + 4], "big") for start in range(0, len(sides), 4)]
    if len(shape) != header[3] or len(sides) % 4:
        raise UserError(f"{path} is truncated within its header", REMEDY)
    array = read_array(stream, np.dtype(NUMBER_TYPES[header[2]]), shape, stored=stored, where=str(path))
    if stream.read(1):
        raise UserError(f"{path} is longer than the {math.prod(shape):,} numbers that its header promises", REMEDY)
    return array
