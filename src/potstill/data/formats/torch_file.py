"""Files that ``torch.save`` wrote, read for their tensors alone: nothing in them is executed.

Three things stand between a file and PyTorch. An archive is read by Python and rewritten uncompressed, so that both
see the same contents and no more bytes than the file has. The pickles are looked through first: they may name tensors,
their storages and plain numbers, and each storage must have the bytes that it claims. Then PyTorch's restricted reader
does the work (``weights_only=True``).
"""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from potstill.data.formats.pickle_machine import Refused, UnknownInstruction, UnknownName
from potstill.data.formats.pickled_arrays import CODES
from potstill.data.formats.torch_pickle import Wanting, storages_of
from potstill.data.formats.torch_stream import FIRST, CutOff, check_stream
from potstill.runtime.bounds import check_memory
from potstill.runtime.errors import UserError
from potstill.runtime.reading import cannot_read, open_regular
from potstill.runtime.text import visible

ARCHIVE = b"PK\x03\x04"
"""With which a zip archive begins."""
PROGRAM = "data.pkl"
ANOTHER = "save its images and labels alone, as tensors, where you trust it"


def read_torch_file(path: Path) -> Any:
    """The tensors, numbers, texts, arrays, lists and dictionaries in a file.

    Args:
        path: a file that ``torch.save`` wrote, in the form of PyTorch 1.6 or in the one before.

    Returns:
        What it holds, with tensors on the CPU, without gradients.

    Raises:
        UserError: the file cannot be read, is not such a file, or holds anything more; or it claims more than it has.
    """
    try:
        stream = open_regular(path)
    except OSError as error:
        raise cannot_read(path, error) from error
    try:
        with stream, warnings.catch_warnings(), torch.serialization.safe_globals(_numpy()):
            warnings.simplefilter("ignore")  # the file is checked first, and refused if PyTorch cannot read it
            content = torch.load(_checked(path, stream), map_location="cpu", weights_only=True)
    except UserError:
        raise
    except Wanting as error:
        raise UserError(f"{path} holds {error}", ANOTHER) from error
    except UnknownName as error:
        named = visible(error.name)[:80]
        raise UserError(f"{path} holds more than tensors ({named}): loading it could run code", ANOTHER) from error
    except UnknownInstruction as error:
        raise UserError(
            f"{path} uses {error.name}, which PyTorch's restricted reader does not know", ANOTHER
        ) from error
    except CutOff as error:
        raise UserError(f"{path} is cut off: {error}", "download it again") from error
    except Refused as error:
        raise _damaged(path, f": {error}") from error
    except Exception as error:  # readers raise whatever a damaged file makes them stumble over
        raise _damaged(path) from error
    for tensor in _tensors(content):
        tensor.requires_grad_(False)
    return content


def _numpy() -> list[Any]:
    """What makes NumPy's numbers and arrays, for PyTorch's reader; their arguments are checked before it calls them."""
    scalar, reconstruct = np.float64(0).__reduce__()[0], np.empty(0).__reduce__()[0]
    named = [
        (function, f"numpy.{core}.multiarray.{name}")
        for core in ("core", "_core")
        for function, name in ((scalar, "scalar"), (reconstruct, "_reconstruct"))
    ]
    return [*named, np.ndarray, np.dtype, *{type(np.dtype(code)) for code in CODES}]


def _checked(path: Path, stream: IO[bytes]) -> io.BytesIO:
    """The contents of a file, after they were looked through.

    Raises:
        UserError: it is not a file of ``torch.save``, or is cut off, compressed or larger than it is.
        Refused: its pickles are not what they may be.
    """
    size = stream.seek(0, io.SEEK_END)
    check_memory(str(path), 3 * size, "use a machine with more memory")
    stream.seek(0)
    start = stream.read(len(ARCHIVE))
    if start == ARCHIVE:
        if not zipfile.is_zipfile(stream):
            raise UserError(f"{path} is cut off: the end of its archive is missing", "download it again")
        return _rewritten(path, stream, size)
    if not start.startswith(FIRST):
        raise UserError(f"{path} is not a torch.save file", "check what was downloaded")
    stream.seek(0)
    content = stream.read()
    check_stream(content)
    return io.BytesIO(content)


def _rewritten(path: Path, stream: IO[bytes], size: int) -> io.BytesIO:
    """The archive with the contents that Python reads from it, after its pickle was looked through.

    Raises:
        UserError: it is compressed, or larger than the file.
        Refused: its pickle or its storages are not what they may be.
    """
    made = io.BytesIO()
    with zipfile.ZipFile(stream) as there, zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as anew:
        entries = there.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise UserError(f"{path} is a compressed archive, not a torch.save file", "save it with torch.save")
        if sum(entry.file_size for entry in entries) > size:
            raise UserError(f"{path} claims more than it has", ANOTHER)
        if len({entry.filename.lower() for entry in entries}) < len(entries):  # PyTorch's reader ignores case
            raise UserError(f"{path} has two entries of one name", ANOTHER)
        programs = [entry.filename for entry in entries if entry.filename.rpartition("/")[2] == PROGRAM]
        if len(programs) != 1:
            raise UserError(f"{path} is an archive, but not a torch.save file", "save it with torch.save")
        sizes: dict[str, int] = {}
        for entry in entries:
            content = there.read(entry)
            sizes[entry.filename] = len(content)
            anew.writestr(entry.filename, content)
        program = there.read(programs[0])
    folder = programs[0].removesuffix(PROGRAM)
    for key, storage in storages_of(io.BytesIO(program), copies=2 * len(program)).items():
        if sizes.get(f"{folder}data/{key}") != storage.nbytes:
            raise Refused(f"its storage {key} does not have the {storage.nbytes:,} bytes that its tensors claim")
    made.seek(0)
    return made


def _damaged(path: Path, reason: str = "") -> UserError:
    return UserError(f"{path} is not a torch.save file, or is damaged{visible(reason)[:160]}", "download it again")


def _tensors(content: Any) -> Iterator[Tensor]:
    """All tensors in lists, tuples and dictionaries, however deep and however often they are there."""
    waiting, seen = [content], set()
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
