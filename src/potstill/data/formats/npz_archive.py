"""NumPy's ``.npz`` archives, of plain numbers only."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from potstill.data.formats.bounds import opened, read_array
from potstill.runtime.errors import UserError

REMEDY = "replace it with an intact .npz of plain arrays"
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # those that NumPy writes
LONGEST_HEADER = 10_000  # bytes; NumPy's own limit
HEADERS: Mapping[tuple[int, int], Any] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class NpzArchive:
    """The arrays of an open archive, each read when it is asked for."""

    def __init__(self, archive: zipfile.ZipFile, path: Path, stored: int) -> None:
        self._archive = archive
        self._path = path
        self._stored = stored
        self.names = tuple(name.removesuffix(".npy") for name in archive.namelist())

    def read(self, name: str) -> np.ndarray:
        """One array of numbers.

        Raises:
            UserError: it is absent or damaged, or does not hold plain numbers.
        """
        return self._read(name, "biuf")

    def read_texts(self, name: str) -> np.ndarray:
        """One array of texts of a fixed length, as NumPy stores them without objects.

        Raises:
            UserError: it is absent or damaged, or does not hold such texts.
        """
        return self._read(name, "U")

    def kind_of(self, name: str) -> tuple[np.dtype, tuple[int, ...]]:
        """The type and the shape of one array, from its header.

        Raises:
            UserError: it is absent or damaged.
        """
        with self._opened(name) as (_, _, (shape, _, dtype)):
            return dtype, tuple(shape)

    def _read(self, name: str, kinds: str) -> np.ndarray:
        with self._opened(name) as (stream, info, (shape, fortran, dtype)):
            where = f"{self._path}, {name}"
            if dtype.hasobject or dtype.kind not in kinds:
                what = "plain numbers" if "f" in kinds else "texts of a fixed length"
                raise UserError(f"cannot read {where}: it holds {dtype}, not {what}", REMEDY)
            stored = min(info.compress_size, self._stored)
            order = "F" if fortran else "C"
            return read_array(stream, dtype, shape, stored=stored, where=where, order=order)

    @contextmanager
    def _opened(self, name: str) -> Iterator[tuple[IO[bytes], zipfile.ZipInfo, Any]]:
        """A stream that stands at the first number of an array, its entry of the archive, and what its header says."""
        where = f"{self._path}, {name}"
        member = f"{name}.npy" if f"{name}.npy" in self._archive.NameToInfo else name
        info = self._archive.getinfo(member)
        if info.compress_type not in METHODS:
            raise UserError(f"{where} is compressed in a way that NumPy does not write", REMEDY)
        with self._archive.open(info) as stream:
            version = np.lib.format.read_magic(stream)
            if version not in HEADERS:
                raise UserError(f"{where} has the version {version}, which is not that of plain numbers", REMEDY)
            yield stream, info, HEADERS[version](stream, max_header_size=LONGEST_HEADER)


@contextmanager
def open_npz(path: Path) -> Iterator[NpzArchive]:
    """Open an archive.

    Args:
        path: the file.

    Raises:
        UserError: it is absent, damaged or not an archive, or whatever is read from it is.
    """
    with opened(path, REMEDY) as stream, zipfile.ZipFile(stream) as archive:
        yield NpzArchive(archive, path, os.fstat(stream.fileno()).st_size)
