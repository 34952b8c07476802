"""Files that ``torch.save`` wrote, read for their tensors alone: nothing in them is executed.

PyTorch's own restricted reader does the work (``weights_only=True``): it knows tensors, lists, dictionaries, numbers
and texts, and refuses a file that names anything else. Sizes are checked before and after, so that a small file cannot
take much memory.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray
from torch import Tensor

from potstill.runtime.bounds import check_memory
from potstill.runtime.errors import UserError
from potstill.runtime.reading import cannot_read, open_regular
from potstill.runtime.text import visible

DEEPEST = 8
"""Lists and dictionaries within each other that are looked through for tensors."""

PLAIN_NUMBERS: tuple[Any, ...] = (
    multiarray.scalar,
    (multiarray.scalar, "numpy.core.multiarray.scalar"),  # as NumPy 1 wrote it
    np.dtype,
    *(getattr(np.dtypes, f"{name}DType") for name in ("Float64", "Float32", "Int64", "Int32", "Bool")),
)
"""NumPy's numbers, which released files hold beside tensors, as accuracies: they are allowed too."""


def read_torch_file(path: Path) -> Any:
    """The tensors, numbers, texts, lists and dictionaries in a file.

    Args:
        path: a file that ``torch.save`` wrote, of any version.

    Returns:
        What it holds, with tensors on the CPU.

    Raises:
        UserError: the file cannot be read, is no such file, or holds anything more; or it claims more than it has.
    """
    try:
        stream = open_regular(path)
    except OSError as error:
        raise cannot_read(path, error) from error
    try:
        with stream, warnings.catch_warnings(), torch.serialization.safe_globals(list(PLAIN_NUMBERS)):
            warnings.simplefilter("ignore")  # what it can read is checked below, and the rest is refused
            size = stream.seek(0, 2)
            _check_archive(path, stream)
            check_memory(f"{path}", size, "use a machine with more memory")
            stream.seek(0)
            content = torch.load(stream, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except Exception as error:  # the reader raises whatever a damaged file makes it stumble over
        raise _refused(path, error) from error
    for tensor in _tensors(content):
        if tensor.layout != torch.strided or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            problem = f"{path} holds a tensor {tuple(tensor.shape)} without that many values"
            raise UserError(problem, "save it again as an ordinary tensor")
    return content


def _check_archive(path: Path, stream: Any) -> None:
    """Refuse an archive whose contents are larger than the file: PyTorch does not compress them.

    Raises:
        UserError: it is.
    """
    if not zipfile.is_zipfile(stream):
        return
    with zipfile.ZipFile(stream) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise UserError(f"{path} is a compressed archive, not a file of torch.save", "save it with torch.save")


def _refused(path: Path, error: Exception) -> UserError:
    """Why a file is not read, in one line: the name that it asks for, if that is the reason."""
    said = str(error).rpartition("WeightsUnpickler error: ")[2]
    if named := re.search(r"(?:GLOBAL|function|class) (\S+)", said):
        return UserError(
            f"{path} holds more than tensors ({visible(named[1])}): loading it could run code",
            "save its images and labels alone, as tensors, where you trust it",
        )
    reason = visible(said.splitlines()[0] if said else type(error).__name__)[:120]
    return UserError(f"{path} is not a file of torch.save, or is damaged ({reason})", "download it again")


def _tensors(content: Any, depth: int = 0) -> Iterator[Tensor]:
    """All tensors in lists, tuples and dictionaries."""
    if isinstance(content, Tensor):
        yield content
    elif depth < DEEPEST and isinstance(content, dict):
        for value in content.values():
            yield from _tensors(value, depth + 1)
    elif depth < DEEPEST and isinstance(content, list | tuple):
        for value in content:
            yield from _tensors(value, depth + 1)
