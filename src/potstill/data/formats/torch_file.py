"""Files that ``torch.save`` wrote, read for their tensors alone: nothing in them is executed.

Three things stand between a file and PyTorch. Its archive is read by Python and written anew, uncompressed, so that
both see the same contents and no more bytes than the file has. The instructions of its pickle are looked through first:
they may name tensors, their storages and plain numbers, and nothing else. Then PyTorch's restricted reader does the
work (``weights_only=True``), with functions of ours in the place of NumPy's.
"""

from __future__ import annotations

import io
import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from potstill.runtime.bounds import check_memory
from potstill.runtime.errors import UserError
from potstill.runtime.reading import cannot_read, open_regular
from potstill.runtime.text import visible

DTYPES = (
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
    *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool),
)
"""The types of tensors that are read."""

NUMBERS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")
"""NumPy's types of plain numbers, which released files hold beside tensors, as accuracies."""

STORAGES = ("Half", "BFloat16", "Float", "Double", "Byte", "Char", "Short", "Int", "Long", "Bool")

NAMES = frozenset(
    {
        "collections OrderedDict",
        "torch._utils _rebuild_tensor_v2",
        "torch._utils _rebuild_parameter",
        "torch.nn.parameter Parameter",
        "numpy.core.multiarray scalar",
        "numpy._core.multiarray scalar",
        "numpy dtype",
        "_codecs encode",
        *(
            f"torch {name}Storage"
            for name in ["Half", "BFloat16", "Float", "Double", "Byte", "Char", "Short", "Int", "Long", "Bool"]
        ),
    }
)
"""What a pickle may name."""

ANOTHER = "save its images and labels alone, as tensors, where you trust it"


def read_torch_file(path: Path) -> Any:
    """The tensors, numbers, texts, lists and dictionaries in a file.

    Args:
        path: a file that ``torch.save`` wrote, since PyTorch 1.6.

    Returns:
        What it holds, with tensors on the CPU.

    Raises:
        UserError: the file cannot be read, is no such file, or holds anything more; or it claims more than it has.
    """
    try:
        stream = open_regular(path)
    except OSError as error:
        raise cannot_read(path, error) from error
    allowed = [_Dtype, (_Dtype, "numpy.dtype")]
    allowed += [(_number, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    try:
        with stream, warnings.catch_warnings(), torch.serialization.safe_globals(allowed):
            warnings.simplefilter("ignore")  # what it can read is checked below, and the rest is refused
            content = torch.load(_rewritten(path, stream), map_location="cpu", weights_only=True)
    except UserError:
        raise
    except Exception as error:  # the reader raises whatever a damaged file makes it stumble over
        raise _refused(path, error) from error
    for tensor in _tensors(content):
        if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized or tensor.dtype not in DTYPES:
            raise UserError(f"{path} holds a tensor of an unusual kind ({tensor.dtype}, {tensor.layout})", ANOTHER)
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise UserError(f"{path} holds a tensor {tuple(tensor.shape)} without that many values", ANOTHER)
    return content


def _rewritten(path: Path, stream: IO[bytes]) -> io.BytesIO:
    """The archive with the contents that Python reads from it, after its pickle was looked through.

    Raises:
        UserError: it is compressed, is larger than the file, or names what it may not.
    """
    size = stream.seek(0, io.SEEK_END)
    check_memory(str(path), 3 * size, "use a machine with more memory")
    if not zipfile.is_zipfile(stream):
        raise UserError(
            f"{path} is not a file of torch.save, or is damaged, or was written before PyTorch 1.6", "download it again"
        )
    made = io.BytesIO()
    with zipfile.ZipFile(stream) as there, zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as anew:
        entries = there.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise UserError(f"{path} is a compressed archive, not a file of torch.save", "save it with torch.save")
        if sum(entry.file_size for entry in entries) > size or len({e.filename for e in entries}) < len(entries):
            raise UserError(f"{path} claims more than it has", ANOTHER)
        for entry in entries:
            content = there.read(entry)
            if entry.filename.endswith(".pkl"):
                _check_names(path, content)
            anew.writestr(entry.filename, content)
    made.seek(0)
    return made


def _check_names(path: Path, program: bytes) -> None:
    """Look through the instructions of a pickle.

    Raises:
        UserError: it names something that is no tensor or number, or in a way that cannot be looked through.
    """
    for instruction, argument, _ in pickletools.genops(program):
        if instruction.name == "GLOBAL" and argument not in NAMES:
            raise _more_than_tensors(path, str(argument).replace(" ", "."))
        if instruction.name in ("STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"):
            raise _more_than_tensors(path, f"the instruction {instruction.name}")


class _Dtype:
    """A type of numbers in the place of ``numpy.dtype``: its code, and the order of its bytes."""

    def __init__(self, code: str, *_: object) -> None:
        if code not in NUMBERS:
            raise ValueError(f"{code!r} is no type of plain numbers")
        self.code, self.order = code, "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = ">" if state[1] == ">" else "<"


def _number(kind: _Dtype, content: bytes | str = b"") -> float | int | bool:
    """A plain number in the place of NumPy's scalar."""
    dtype = np.dtype(f"{kind.order}{kind.code}")
    data = content.encode("latin-1") if isinstance(content, str) else content
    if len(data) != dtype.itemsize:
        raise ValueError(f"{len(data)} bytes for a number of {dtype.itemsize}")
    return np.frombuffer(data, dtype)[0].item()


def _refused(path: Path, error: Exception) -> UserError:
    """Why a file is not read, in one line."""
    said = str(error).rpartition("WeightsUnpickler error: ")[2]
    if named := re.search(r"(?:GLOBAL|function|class) (\S+)", said):
        return _more_than_tensors(path, named[1])
    reason = visible(said.splitlines()[0] if said else type(error).__name__)[:120]
    return UserError(f"{path} is not a file of torch.save, or is damaged ({reason})", "download it again")


def _more_than_tensors(path: Path, name: str) -> UserError:
    return UserError(f"{path} holds more than tensors ({visible(name)[:80]}): loading it could run code", ANOTHER)


def _tensors(content: Any) -> Iterator[Tensor]:
    """All tensors in lists, tuples and dictionaries, however deep."""
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
