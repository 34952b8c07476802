"""Pickles of plain data, such as the batches of CIFAR, read without unpickling."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

from potstill.data.formats.bounds import opened
from potstill.data.formats.pickle_machine import Machine, Refused
from potstill.data.formats.pickled_arrays import NAMES
from potstill.runtime.errors import UserError

REMEDY = "use the binary version, an intact download, or a folder of images"
LARGEST = 2**30  # bytes of a file; a batch of CIFAR has 31 million


def read_plain_pickle(path: Path) -> Any:
    """Read a pickle of plain data.

    Args:
        path: the file.

    Returns:
        Dictionaries with texts, bytes or numbers as keys, lists, tuples, texts, bytes, numbers, booleans, None and
        arrays. Texts of Python 2 are read as Latin-1.

    Raises:
        UserError: the file is absent, damaged, or anything but plain data.
    """
    with opened(path, REMEDY) as stream:
        content = stream.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise UserError(f"{path} has more than {LARGEST:,} bytes, too many for a pickle of data", REMEDY)
        try:
            return Machine(NAMES, copies=2 * len(content)).run(BytesIO(content))
        except Refused as error:
            raise UserError(f"{path} is not a pickle of plain data ({error}): it is not unpickled", REMEDY) from error
