"""The pickles of ``torch.save``, looked through before PyTorch reads them: which storages they claim, and how large.

They may name tensors of plain numbers, the storages of these, and NumPy's plain numbers and arrays; nothing is
allocated. Of the instructions, only those are let through that PyTorch's restricted reader understands as we do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

import torch

from potstill.data.formats import pickled_arrays
from potstill.data.formats.pickle_machine import Machine, Name, Refused, Symbol

INSTRUCTIONS = frozenset(
    {"PROTO", "STOP", "MARK", "GLOBAL", "REDUCE", "BUILD", "BINPERSID", "NONE", "NEWTRUE", "NEWFALSE", "BINFLOAT"}
    | {"BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "EMPTY_LIST", "EMPTY_DICT", "EMPTY_TUPLE", "TUPLE"}
    | {"TUPLE1", "TUPLE2", "TUPLE3", "APPEND", "APPENDS", "SETITEM", "SETITEMS"}
    | {"BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"}
)
"""Those of ``torch.save``, of the second protocol."""


class Wanting(Refused):
    """A tensor that has fewer values than its shape says."""


@dataclass(frozen=True, eq=False)
class _Kind(Name):
    """The name of a type of storages."""

    dtype: torch.dtype = torch.float32


@dataclass(frozen=True)
class Storage(Symbol):
    """The values of tensors, kept outside of the pickle.

    Attributes:
        key: its name in the file.
        dtype: of the values.
        numel: their number.
    """

    key: str
    dtype: torch.dtype
    numel: int

    @property
    def nbytes(self) -> int:
        """The bytes of the values."""
        return self.numel * self.dtype.itemsize


@dataclass(frozen=True)
class Tensor:
    """A tensor that a pickle describes.

    Attributes:
        storage: its values, perhaps among others.
        shape: its sides.
    """

    storage: Storage
    shape: tuple[int, ...]


class _OrderedDict(dict[Any, Any], Symbol):
    """A dictionary, which networks' weights complete with the versions of their layers."""

    def build(self, machine: Machine, state: Any) -> None:
        """Pass over the versions."""
        if not isinstance(state, dict) or set(state) != {"_metadata"}:
            raise Refused("a dictionary with an unexpected state")

    def finished(self) -> dict[Any, Any]:
        """The dictionary."""
        return self


def storages_of(stream: IO[bytes], copies: int) -> dict[str, Storage]:
    """Look through a pickle.

    Args:
        stream: stands at its first instruction, and afterwards behind its last one.
        copies: the bytes that may be copied: those of the file, or a few times as many.

    Returns:
        The storages that it claims, by their keys.

    Raises:
        Refused: it is damaged, contradicts itself or names anything else.
        Wanting: a tensor does not have the values of its shape.
        Exception: what ``pickletools`` raises for instructions that cannot be read.
    """
    found: dict[str, Storage] = {}

    def persistent(identity: Any) -> Storage:
        match identity:
            case ("storage", _Kind(dtype=dtype), str(key), str(), int(numel), *views) if numel >= 0:
                if views not in ([], [None]):  # the old form has a place for a part of a storage, which nothing writes
                    raise Refused("a part of a storage")
                storage = found.setdefault(key, Storage(key, dtype, numel))
                if storage != Storage(key, dtype, numel):
                    raise Refused(f"the storage {key} has two sizes")
                return storage
        raise Refused("something else where a storage should be")

    Machine(NAMES, copies, persistent, INSTRUCTIONS).run(stream)
    return found


def _tensor(_: Machine, arguments: tuple[Any, ...]) -> Tensor:
    match arguments:
        case (Storage() as storage, int(offset), tuple(shape), tuple(strides), bool(), dict(hooks)) if not hooks:
            pass
        case _:
            raise Refused("a tensor with unexpected arguments")
    if len(shape) != len(strides) or not all(type(each) is int and each >= 0 for each in (offset, *shape, *strides)):
        raise Refused("a tensor of an impossible shape")
    last = offset + sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True))
    size = math.prod(shape)
    if size > storage.numel or (size and last >= storage.numel):
        raise Wanting(f"a tensor {shape} without that many values")
    return Tensor(storage, shape)


def _parameter(_: Machine, arguments: tuple[Any, ...]) -> Tensor:
    match arguments:
        case (Tensor() as tensor, bool(), dict(hooks)) if not hooks:
            return tensor
    raise Refused("a parameter with unexpected arguments")


def _ordered(_: Machine, arguments: tuple[Any, ...]) -> _OrderedDict:
    if arguments:
        raise Refused("a dictionary with unexpected arguments")
    return _OrderedDict()


NAMES: Mapping[str, Name] = {
    **pickled_arrays.NAMES,
    "collections OrderedDict": Name("dictionary", _ordered),
    "torch._utils _rebuild_tensor_v2": Name("tensor", _tensor),
    "torch._utils _rebuild_parameter": Name("parameter", _parameter),
    **{
        f"torch {name}Storage": _Kind("storage", dtype=dtype)
        for name, dtype in (
            *(("Half", torch.float16), ("BFloat16", torch.bfloat16), ("Float", torch.float32)),
            *(("Double", torch.float64), ("Byte", torch.uint8), ("Char", torch.int8), ("Short", torch.int16)),
            *(("Int", torch.int32), ("Long", torch.int64), ("Bool", torch.bool)),
        )
    },
}
"""What a pickle may name."""
