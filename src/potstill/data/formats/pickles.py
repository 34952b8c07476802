"""Pickles of plain data, such as the batches of CIFAR, read without unpickling.

A pickle is a program for a small machine with a stack. Python's own machine lets the program import and call anything;
this one knows dictionaries, lists, texts, bytes, numbers and NumPy's arrays of plain numbers, and nothing else: a
program that asks for anything more is refused before it has done anything.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from potstill.data.formats.bounds import opened
from potstill.runtime.errors import UserError

REMEDY = "use the binary version, an intact download, or a folder of images"
LARGEST = 2**30  # bytes of a file; a batch of CIFAR has 31 million

RECONSTRUCT, ARRAY, DTYPE, ENCODE = "reconstruct", "array", "dtype", "encode"
KNOWN: Mapping[str, str] = {
    "numpy.core.multiarray _reconstruct": RECONSTRUCT,
    "numpy._core.multiarray _reconstruct": RECONSTRUCT,
    "numpy ndarray": ARRAY,
    "numpy dtype": DTYPE,
    "_codecs encode": ENCODE,  # how Python 3 wrote bytes in the pickles of Python 2
}
"""The only names that a pickle may mention. None of them is imported: they are marks for what follows."""


class Refused(Exception):
    """A pickle that is damaged or asks for more than plain data."""


@dataclass(frozen=True)
class _Name:
    """One of the known names."""

    of: str


@dataclass
class _Dtype:
    """A type of numbers, until its state says how bytes are ordered."""

    code: str


@dataclass
class _Array:
    """An array, until its state brings shape and content."""

    values: np.ndarray | None = None


class _Mark:
    """The beginning of a list of operands."""


MARK = _Mark()


@dataclass
class _Machine:
    """The stack, what is remembered, and how many bytes may still be copied: no more than the file has."""

    copies: int
    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def encoded(self, text: str | bytes) -> bytes:
        """Latin-1, in which Python 2 wrote bytes."""
        self.copies -= len(text)
        if self.copies < 0:
            raise Refused("it copies more bytes than it has")
        return text.encode("latin-1") if isinstance(text, str) else text

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self, *kinds: type) -> Any:
        if not self.stack or isinstance(self.stack[-1], _Mark):
            raise Refused("an operand is missing")
        value = self.stack.pop()
        if kinds and not isinstance(value, kinds):
            raise Refused(f"{type(value).__name__} in the wrong place")
        return value

    def top(self, kind: type) -> Any:
        value = self.pop(kind)
        self.push(value)
        return value

    def since_mark(self) -> list[Any]:
        for index in range(len(self.stack) - 1, -1, -1):
            if isinstance(self.stack[index], _Mark):
                operands = self.stack[index + 1 :]
                del self.stack[index:]
                return operands
        raise Refused("a mark is missing")


def read_plain_pickle(path: Path) -> Any:
    """Read a pickle of plain data.

    Args:
        path: the file.

    Returns:
        Dictionaries with texts or bytes as keys, lists, tuples, texts, bytes, numbers, booleans, None and arrays. Texts
        of Python 2 are read as Latin-1.

    Raises:
        UserError: the file is absent, damaged, or anything but plain data.
    """
    with opened(path, REMEDY) as stream:
        content = stream.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise UserError(f"{path} has more than {LARGEST:,} bytes, too many for a pickle of data", REMEDY)
        try:
            return _run(content)
        except Refused as error:
            raise UserError(f"{path} is not a pickle of plain data ({error}): it is not unpickled", REMEDY) from error


def _run(content: bytes) -> Any:
    machine = _Machine(copies=2 * len(content))
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name == "STOP":
            result = machine.pop()
            if machine.stack:
                raise Refused("operands are left over")
            return _finished(result)
        if opcode.name in PUSHED:
            machine.push(argument)
        elif opcode.name in ACTIONS:
            ACTIONS[opcode.name](machine, argument)
        elif opcode.name not in IGNORED:
            raise Refused(f"it uses {opcode.name}")
    raise Refused("it has no end")


def _finished(value: Any) -> Any:
    """A value in which nothing is left unfinished."""
    if isinstance(value, _Array):
        if value.values is None:
            raise Refused("an array has no content")
        return value.values
    if isinstance(value, _Name | _Dtype):
        raise Refused("a name where data should be")
    return value


def _key(value: Any) -> str | bytes:
    # Nothing else: the hash of a deeply nested tuple would never be computed to its end.
    if not isinstance(value, str | bytes):
        raise Refused(f"{type(value).__name__} as a key")
    return value


def _set_items(target: dict[Any, Any], items: list[Any]) -> None:
    if len(items) % 2:
        raise Refused("a key has no value")
    target.update({_key(key): _finished(value) for key, value in zip(items[::2], items[1::2], strict=True)})


def _global(machine: _Machine, name: str) -> None:
    if name not in KNOWN:
        raise Refused(f"it asks for {name.replace(' ', '.')}")
    machine.push(_Name(KNOWN[name]))


def _stack_global(machine: _Machine, _: Any) -> None:
    name, module = machine.pop(str), machine.pop(str)
    _global(machine, f"{module} {name}")


def _reduce(machine: _Machine, _: Any) -> None:
    """Calls of the known names, which are not calls: each is replaced by what it would make."""
    arguments, name = machine.pop(tuple), machine.pop(_Name)
    match name.of, arguments:
        case "reconstruct", (_Name(of="array"), (0,), _):
            machine.push(_Array())
        case "dtype", (str(code), *_):
            machine.push(_Dtype(code))
        case "encode", (str(text), "latin1"):
            machine.push(machine.encoded(text))
        case _:
            raise Refused(f"a {name.of} with unexpected arguments")


def _build(machine: _Machine, _: Any) -> None:
    """The states of types and arrays."""
    state, target = machine.pop(tuple), machine.pop(_Dtype, _Array)
    if isinstance(target, _Dtype):
        if len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise Refused("a type of numbers with an unexpected state")
        target.code = f"{state[1]}{target.code}"
    else:
        target.values = _array(machine, state)
    machine.push(target)


def _array(machine: _Machine, state: tuple[Any, ...]) -> np.ndarray:
    match state:
        case (int(), tuple(shape), _Dtype(code=code), fortran, str() | bytes() as raw):
            pass
        case _:
            raise Refused("an array with an unexpected state")
    if not all(type(side) is int and 0 <= side <= LARGEST for side in shape) or len(shape) > 4:
        raise Refused("an array of an impossible shape")
    if not isinstance(fortran, bool | int):
        raise Refused("an array of unknown order")
    dtype = np.dtype(code) if code[-2:-1] in ("b", "i", "u", "f") and len(code) <= 3 else _refuse_type(code)
    values = np.frombuffer(machine.encoded(raw), dtype)
    if values.size != int(np.prod(shape, dtype=object)):
        raise Refused("an array whose content does not fill its shape")
    return values.reshape(shape, order="F" if fortran else "C")


def _refuse_type(code: str) -> NoReturn:
    raise Refused(f"an array of {code!r}")


def _append(machine: _Machine, _: Any) -> None:
    value = _finished(machine.pop())
    machine.top(list).append(value)


def _appends(machine: _Machine, _: Any) -> None:
    values = [_finished(value) for value in machine.since_mark()]
    machine.top(list).extend(values)


def _set_item(machine: _Machine, _: Any) -> None:
    value, key = machine.pop(), machine.pop()
    _set_items(machine.top(dict), [key, value])


def _set_all_items(machine: _Machine, _: Any) -> None:
    items = machine.since_mark()
    _set_items(machine.top(dict), items)


def _new_dict(machine: _Machine, _: Any) -> None:
    made: dict[Any, Any] = {}
    _set_items(made, machine.since_mark())
    machine.push(made)


def _tuple(count: int) -> Callable[[_Machine, Any], None]:
    def build(machine: _Machine, _: Any) -> None:
        machine.push(tuple(machine.pop() for _ in range(count))[::-1])

    return build


def _put(machine: _Machine, slot: int) -> None:
    if not machine.stack or isinstance(machine.stack[-1], _Mark):
        raise Refused("nothing to store")
    machine.memo[slot] = machine.stack[-1]


def _memoize(machine: _Machine, _: Any) -> None:
    _put(machine, len(machine.memo))


def _get(machine: _Machine, slot: int) -> None:
    if slot not in machine.memo:
        raise Refused("something that was not stored is asked for")
    machine.push(machine.memo[slot])


PUSHED = frozenset(
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING"}
    | {"SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
)
IGNORED = frozenset({"PROTO", "FRAME"})
ACTIONS: Mapping[str, Callable[[_Machine, Any], None]] = {
    "MARK": lambda machine, _: machine.push(MARK),
    "POP": lambda machine, _: machine.pop(),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "LIST": lambda machine, _: machine.push([_finished(value) for value in machine.since_mark()]),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.since_mark())),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "DICT": _new_dict,
    "APPEND": _append,
    "APPENDS": _appends,
    "SETITEM": _set_item,
    "SETITEMS": _set_all_items,
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "BUILD": _build,
    "PUT": _put,
    "BINPUT": _put,
    "LONG_BINPUT": _put,
    "MEMOIZE": _memoize,
    "GET": _get,
    "BINGET": _get,
    "LONG_BINGET": _get,
}
