"""A machine that runs pickles without importing or calling what they name.

A pickle is a program for a small machine with a stack. Python's own machine lets the program import and call anything;
this one knows dictionaries, lists, tuples, texts, bytes and numbers, and of names only those that its caller explains:
each has a function of the caller's in its place. A program that asks for anything more is refused before it has done
anything.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any


class Refused(Exception):
    """A pickle that is damaged or asks for more than it may."""


class UnknownName(Refused):
    """A pickle that asks for a name that it may not use.

    Attributes:
        name: what it asks for.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"it asks for {name}")
        self.name = name


class UnknownInstruction(Refused):
    """A pickle that uses an instruction that it may not use.

    Attributes:
        name: of the instruction.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"it uses {name}")
        self.name = name


class Symbol:
    """What is not data, or not yet: a name, or something that later instructions complete."""

    def call(self, machine: Machine, arguments: tuple[Any, ...]) -> Any:
        """What a call of it makes."""
        raise Refused("a call of something that is not a function")

    def build(self, machine: Machine, state: Any) -> None:
        """Take a state."""
        raise Refused("a state for something that takes none")

    def finished(self) -> Any:
        """The data that it has become."""
        raise Refused("a name where data should be")


@dataclass(frozen=True, eq=False)
class Name(Symbol):
    """A known name.

    Attributes:
        text: what the name is for.
        make: what stands in the place of a call; None for a name that is never called.
    """

    text: str
    make: Callable[[Machine, tuple[Any, ...]], Any] | None = None

    def call(self, machine: Machine, arguments: tuple[Any, ...]) -> Any:
        """What our function makes of the arguments."""
        return super().call(machine, arguments) if self.make is None else self.make(machine, arguments)


class _Mark:
    """The beginning of a list of operands."""


MARK = _Mark()


@dataclass
class Machine:
    """The stack, what is remembered, and how many bytes may still be copied: no more than the file has.

    Attributes:
        names: what a pickle may name, as ``module name``.
        copies: the bytes that may be copied.
        persistent: what stands for an object that is kept outside of the pickle; None if there is none.
        instructions: those that may be used, of the ones known here; None for all.
    """

    names: Mapping[str, Name]
    copies: int
    persistent: Callable[[Any], Any] | None = None
    instructions: frozenset[str] | None = None
    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def run(self, stream: IO[bytes]) -> Any:
        """Run one pickle.

        Args:
            stream: stands at its first instruction, and afterwards behind its last one.

        Returns:
            Dictionaries, lists, tuples, texts, bytes, numbers, booleans, None and what the known names make. Bytes of
            Python 2 are texts, read as Latin-1.

        Raises:
            Refused: it asks for more, or is damaged.
            Exception: what ``pickletools`` raises for instructions that cannot be read.
        """
        self.stack.clear()
        self.memo.clear()
        for opcode, argument, _ in pickletools.genops(stream):
            if self.instructions is not None and opcode.name not in self.instructions:
                raise UnknownInstruction(opcode.name)
            if opcode.name == "STOP":
                result = self.pop()
                if self.stack:
                    raise Refused("operands are left over")
                return finished(result)
            if opcode.name in PUSHED:
                self.push(argument)
            elif opcode.name in ACTIONS:
                ACTIONS[opcode.name](self, argument)
            elif opcode.name not in IGNORED:
                raise UnknownInstruction(opcode.name)
        raise Refused("it has no end")

    def encoded(self, text: str | bytes) -> bytes:
        """Latin-1, in which Python 2 wrote bytes."""
        self.copies -= len(text)
        if self.copies < 0:
            raise Refused("it copies more bytes than it has")
        return text.encode("latin-1") if isinstance(text, str) else text

    def push(self, value: Any) -> None:
        """Put an operand onto the stack."""
        self.stack.append(value)

    def pop(self, *kinds: type) -> Any:
        """Take an operand of one of some kinds from the stack."""
        if not self.stack or isinstance(self.stack[-1], _Mark):
            raise Refused("an operand is missing")
        value = self.stack.pop()
        if kinds and not isinstance(value, kinds):
            raise Refused(f"{type(value).__name__} in the wrong place")
        return value

    def top(self, kind: type) -> Any:
        """The last operand, which stays."""
        value = self.pop(kind)
        self.push(value)
        return value

    def since_mark(self) -> list[Any]:
        """Take all operands since the last mark from the stack."""
        for index in range(len(self.stack) - 1, -1, -1):
            if isinstance(self.stack[index], _Mark):
                operands = self.stack[index + 1 :]
                del self.stack[index:]
                return operands
        raise Refused("a mark is missing")


def finished(value: Any) -> Any:
    """A value in which nothing is left unfinished."""
    return value.finished() if isinstance(value, Symbol) else value


def _key(value: Any) -> str | bytes | int | float:
    # Nothing else: the hash of a deeply nested tuple would never be computed to its end.
    if not isinstance(value, str | bytes | int | float):
        raise Refused(f"{type(value).__name__} as a key")
    return value


def _set_items(target: dict[Any, Any], items: list[Any]) -> None:
    if len(items) % 2:
        raise Refused("a key has no value")
    target.update({_key(key): finished(value) for key, value in zip(items[::2], items[1::2], strict=True)})


def _global(machine: Machine, name: str) -> None:
    if name not in machine.names:
        raise UnknownName(name.replace(" ", "."))
    machine.push(machine.names[name])


def _stack_global(machine: Machine, _: Any) -> None:
    name, module = machine.pop(str), machine.pop(str)
    _global(machine, f"{module} {name}")


def _reduce(machine: Machine, _: Any) -> None:
    """Calls of the known names, which are not calls: each is replaced by what it would make."""
    arguments, function = machine.pop(tuple), machine.pop(Symbol)
    machine.push(function.call(machine, arguments))


def _build(machine: Machine, _: Any) -> None:
    state, target = machine.pop(), machine.pop(Symbol)
    target.build(machine, state)
    machine.push(target)


def _persistent(machine: Machine, _: Any) -> None:
    if machine.persistent is None:
        raise UnknownInstruction("BINPERSID")
    machine.push(machine.persistent(machine.pop()))


def _append(machine: Machine, _: Any) -> None:
    value = finished(machine.pop())
    machine.top(list).append(value)


def _appends(machine: Machine, _: Any) -> None:
    values = [finished(value) for value in machine.since_mark()]
    machine.top(list).extend(values)


def _set_item(machine: Machine, _: Any) -> None:
    value, key = machine.pop(), machine.pop()
    _set_items(machine.top(dict), [key, value])


def _set_all_items(machine: Machine, _: Any) -> None:
    items = machine.since_mark()
    _set_items(machine.top(dict), items)


def _new_dict(machine: Machine, _: Any) -> None:
    made: dict[Any, Any] = {}
    _set_items(made, machine.since_mark())
    machine.push(made)


def _tuple(count: int) -> Callable[[Machine, Any], None]:
    def build(machine: Machine, _: Any) -> None:
        machine.push(tuple(machine.pop() for _ in range(count))[::-1])

    return build


def _put(machine: Machine, slot: int) -> None:
    if not machine.stack or isinstance(machine.stack[-1], _Mark):
        raise Refused("nothing to store")
    machine.memo[slot] = machine.stack[-1]


def _memoize(machine: Machine, _: Any) -> None:
    _put(machine, len(machine.memo))


def _get(machine: Machine, slot: int) -> None:
    if slot not in machine.memo:
        raise Refused("something that was not stored is asked for")
    machine.push(machine.memo[slot])


PUSHED = frozenset(
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING"}
    | {"SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
)
IGNORED = frozenset({"PROTO", "FRAME"})
ACTIONS: Mapping[str, Callable[[Machine, Any], None]] = {
    "MARK": lambda machine, _: machine.push(MARK),
    "POP": lambda machine, _: machine.pop(),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "LIST": lambda machine, _: machine.push([finished(value) for value in machine.since_mark()]),
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
    "BINPERSID": _persistent,
    "PUT": _put,
    "BINPUT": _put,
    "LONG_BINPUT": _put,
    "MEMOIZE": _memoize,
    "GET": _get,
    "BINGET": _get,
    "LONG_BINGET": _get,
}
