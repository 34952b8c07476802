"""NumPy's names in pickles: arrays and scalars of plain numbers, made from their bytes without a call of NumPy's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from potstill.data.formats.pickle_machine import Machine, Name, Refused, Symbol

LONGEST = 2**30  # of a side; more than any file that is read has bytes
CODES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
"""NumPy's types of plain numbers."""


class _Dtype(Symbol):
    """A type of numbers, until its state says how bytes are ordered."""

    def __init__(self, code: str) -> None:
        if code not in CODES:
            raise Refused(f"an array of {code!r}")
        self.code, self.order = code, "="

    def build(self, machine: Machine, state: Any) -> None:
        """Take the order of the bytes."""
        match state:
            case (3, "<" | ">" | "|" | "=" as order, None, None, None, -1, -1, 0):
                self.order = order
            case _:
                raise Refused("a type of numbers with an unexpected state")

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(f"{self.order}{self.code}")


class _Array(Symbol):
    """An array, until its state brings shape and content."""

    def __init__(self) -> None:
        self.values: np.ndarray | None = None

    def build(self, machine: Machine, state: Any) -> None:
        """Take shape and content."""
        match state:
            case (int(), tuple(shape), _Dtype(dtype=dtype), fortran, str() | bytes() as raw):
                pass
            case _:
                raise Refused("an array with an unexpected state")
        if not all(type(side) is int and 0 <= side <= LONGEST for side in shape) or len(shape) > 4:
            raise Refused("an array of an impossible shape")
        if not isinstance(fortran, bool | int):
            raise Refused("an array of unknown order")
        content = machine.encoded(raw)
        if len(content) != math.prod(shape) * dtype.itemsize:
            raise Refused("an array whose content does not fill its shape")
        self.values = np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")

    def finished(self) -> np.ndarray:
        """The array."""
        if self.values is None:
            raise Refused("an array has no content")
        return self.values


ARRAY = Name("array")


def _reconstruct(_: Machine, arguments: tuple[Any, ...]) -> _Array:
    match arguments:
        case (kind, (0,), b"b" | "b") if kind is ARRAY:  # a type that stands for any until the state names another
            return _Array()
    raise Refused("an array with unexpected arguments")


def _dtype(_: Machine, arguments: tuple[Any, ...]) -> _Dtype:
    match arguments:
        case (str(code), 0, 1):  # never aligned, always a copy: its state changes no type that others use
            return _Dtype(code)
    raise Refused("a type of numbers with unexpected arguments")


def _scalar(machine: Machine, arguments: tuple[Any, ...]) -> float | int | bool:
    match arguments:
        case (_Dtype(dtype=dtype), str() | bytes() as raw) if len(content := machine.encoded(raw)) == dtype.itemsize:
            return np.frombuffer(content, dtype)[0].item()
    raise Refused("a number with unexpected arguments")


def _encode(machine: Machine, arguments: tuple[Any, ...]) -> bytes:
    match arguments:
        case (str(text), "latin1"):
            return machine.encoded(text)
    raise Refused("bytes with unexpected arguments")


NAMES: Mapping[str, Name] = {
    "numpy ndarray": ARRAY,
    "numpy dtype": Name("type of numbers", _dtype),
    "_codecs encode": Name("bytes", _encode),  # how Python 3 writes bytes in the pickles of Python 2
    **{
        f"numpy.{core}.multiarray {name}": Name(name, make)
        for core in ("core", "_core")
        for name, make in (("_reconstruct", _reconstruct), ("scalar", _scalar))
    },
}
"""What pickles of arrays name, and what we make of it."""
