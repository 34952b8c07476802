"""A unit of work is a value: what to compute, but not where, when or by whom."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from potstill.runtime.files import sha256
from potstill.schema import Record
from potstill.schema.fields import Fields
from potstill.units.workplace import Workplace

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, kw_only=True)
class Unit(Record, ABC, Generic[R]):
    """A piece of work, such as one training. Units are small, and results of equal units have the same bits.

    A unit names what it needs by content: sets and datasets by SHA-256, networks and recipes by their specifications,
    randomness by seed and stream. Its fields are plain values and records, from which it is read back.

    Attributes:
        result: the class of its results.
        version: raised with every change of the code that could alter a result.
    """

    result: ClassVar[type[Record]]
    version: ClassVar[int] = 1

    @abstractmethod
    def run(self, workplace: Workplace) -> R:
        """Do the work.

        Args:
            workplace: provides what the unit names, and the device.

        Returns:
            The result, an instance of ``result``.

        Raises:
            UserError: the work cannot be done. What can go wrong with a single network is a result.
        """

    def is_final(self, result: R) -> bool:
        """Whether a result is kept on record, so that the work is never done again."""
        return True

    @property
    def key(self) -> str:
        """The SHA-256 of the unit: equal for equal units, whatever process made them."""
        return sha256(json.dumps(described(self), sort_keys=True).encode())

    @classmethod
    def result_from(cls, fields: Fields) -> R:
        """The result that was recorded.

        Raises:
            UserError: a field is absent or invalid.
        """
        return cls.result.from_json(fields)  # pyright: ignore[reportReturnType] (the class of the results)


def described(unit: Unit[Any]) -> dict[str, Any]:
    """A unit as JSON values, from which ``unit_from`` makes it again."""
    kind = f"{type(unit).__module__}:{type(unit).__qualname__}"
    return {"unit": kind, "version": type(unit).version, **unit.to_json()}


def unit_from(description: dict[str, Any]) -> Unit[Any]:
    """The unit that ``described`` returned the description of, in any process.

    Only for descriptions that come from this program: the module of the unit is imported.
    """
    module, _, name = description["unit"].partition(":")
    found: type[Unit[Any]] = getattr(import_module(module), name)
    return found.from_json(Fields(Path("a unit of work"), description))
