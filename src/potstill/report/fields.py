"""JSON objects whose errors name the file and the field."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from potstill.runtime.errors import UserError
from potstill.runtime.files import read_json


@dataclass(frozen=True)
class Fields:
    """An object of a record, and where it stands.

    Every reader raises ``UserError``, naming the file and the field, if the field is absent or not what is asked for.

    Attributes:
        file: the file that the object is from.
        values: the object.
        place: the dotted path of the object in the file, with a dot at its end; empty for the outermost.
    """

    file: Path
    values: Mapping[str, Any]
    place: str = ""

    @classmethod
    def of(cls, file: Path, value: Any, place: str = "") -> Fields:
        """``value`` as fields."""
        if not isinstance(value, dict):
            what = f"{file}: {place.rstrip('.')}" if place else str(file)
            raise UserError(f"{what} is not an object", "the record is damaged: make it anew")
        return cls(file, value, place)

    @classmethod
    def of_record(cls, file: Path, schema: int) -> Fields:
        """The object in a JSON file, if it is of that version of its kind."""
        fields = cls.of(file, read_json(file))
        if fields.whole("schema") != schema:
            fields.refuse("schema", f"{schema}, the version this Potstill reads")
        return fields

    def __contains__(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self.values.get(name) is not None

    def text(self, name: str) -> str:
        """A string."""
        value = self.values.get(name)
        return value if isinstance(value, str) else self.refuse(name, "text")

    def whole(self, name: str) -> int:
        """An integer that is not negative."""
        value = self.values.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        return self.refuse(name, "a whole number")

    def integer(self, name: str) -> int:
        """An integer."""
        value = self.values.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else self.refuse(name, "an integer")

    def number(self, name: str) -> float:
        """A finite number."""
        value: Any = self.values.get(name)
        return float(value) if _is_number(value) else self.refuse(name, "a number")

    def numbers(self, name: str) -> tuple[float, ...]:
        """A list of numbers; a null, which stands for a value that was not finite, becomes NaN."""
        value = self.values.get(name)
        if isinstance(value, list) and all(item is None or _is_number(item) for item in value):
            return tuple(math.nan if item is None else float(item) for item in value)
        return self.refuse(name, "a list of numbers")

    def lines(self, name: str) -> tuple[str, ...]:
        """A list of strings."""
        value = self.values.get(name)
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        return self.refuse(name, "a list of texts")

    def part(self, name: str) -> Fields:
        """An object within this one."""
        return Fields.of(self.file, self.values.get(name), f"{self.place}{name}.")

    def list(self, name: str) -> list[Fields]:
        """A list of objects."""
        value = self.values.get(name)
        if not isinstance(value, list):
            self.refuse(name, "a list")
        return [Fields.of(self.file, item, f"{self.place}{name}[{place}].") for place, item in enumerate(value)]

    def parts(self) -> dict[str, Fields]:
        """Every value of this object, each of which is an object too."""
        return {name: self.part(name) for name in self.values}

    def texts(self) -> dict[str, str]:
        """Every value of this object, as people read it."""
        return {name: str(value) for name, value in self.values.items()}

    def refuse(self, name: str, wanted: str) -> NoReturn:
        """Say that a field is not ``wanted``."""
        problem = f"is not {wanted}" if name in self.values else "is missing"
        raise UserError(f"{self.file}: {self.place}{name} {problem}", "the record is damaged: make it anew")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
