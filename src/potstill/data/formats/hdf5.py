"""HDF5 files of plain arrays, if h5py is installed."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from potstill.data.formats.bounds import check_size, opened
from potstill.runtime.errors import UserError

MAGIC = b"\x89HDF\r\n\x1a\n"
REMEDY = "download it again"


def read_hdf5(path: Path, wanted: Iterable[str]) -> dict[str, np.ndarray]:
    """Read arrays of a file.

    Links to other files and virtual or external storage are not followed.

    Args:
        path: the file.
        wanted: the paths of the arrays within it, such as ``train/data``.

    Returns:
        The arrays that were found, by path.

    Raises:
        UserError: h5py is absent, or the file is absent or damaged or has something else in these places.
    """
    h5py = _h5py(path)
    with opened(path, REMEDY) as stream:
        if stream.read(len(MAGIC)) != MAGIC:
            raise UserError(f"{path} is not an HDF5 file", REMEDY)
        stream.seek(0)
        stored = os.fstat(stream.fileno()).st_size
        with h5py.File(stream, "r") as archive:
            found = {name: _member(h5py, archive, name) for name in wanted}
            return {
                name: _array(h5py, member, f"{path}, {name}", stored)
                for name, member in found.items()
                if member is not None
            }


def _h5py(path: Path) -> Any:
    try:
        return import_module("h5py")
    except ImportError as error:
        raise UserError(
            f"{path} is an HDF5 file, which needs h5py, and h5py is not installed", "run pip install h5py"
        ) from error


def _member(h5py: Any, archive: Any, name: str) -> Any:
    """A member by its path; None if there is none, or if it is a link, which may point into another file."""
    member = archive
    for step in name.split("/"):
        if not isinstance(member, h5py.Group) or not isinstance(member.get(step, getlink=True), h5py.HardLink):
            return None
        member = member[step]
    return member


def _array(h5py: Any, member: Any, where: str, stored: int) -> np.ndarray:
    if not isinstance(member, h5py.Dataset) or member.dtype.kind not in "biuf":
        raise UserError(f"{where} is not an array of plain numbers", REMEDY)
    if member.is_virtual or member.external:
        raise UserError(f"{where} is stored in another file, which is not followed", "store it in this one")
    check_size(math.prod(member.shape) * member.dtype.itemsize, stored, where)
    return member[()]
