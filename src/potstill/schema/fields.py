"""Checked reading of files: annotations say which values are accepted, errors name file and field.

Older files have older names of settings; ``with_present_names`` is the one place that knows them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

from potstill.runtime.errors import UserError
from potstill.runtime.reading import parse_json, read_json

REMEDY = "restore the file, or move it away so that it is made again"
SCALARS: Mapping[type, str] = {str: "text", bool: "true or false", int: "an integer", float: "a number"}
RENAMED: Mapping[str, Mapping[str, str]] = {
    "datadam": {"factor": "loss_scale", "balance": "mmd_weight", "released": "follow_released_code"},
    "experts": {"flatness": "gsam_rho"},
    "recipe": {"averaging": "ema_decay", "tried_rates": "learning_rate_grid"},
    "state": {"momentum": "images.momentum"},
}
"""The old names of settings in older files and their present names, by method or by kind of record."""


@dataclass(frozen=True)
class Range:
    """The range of a number, and its description ``words`` for errors."""

    words: str
    low: float = -math.inf
    high: float = math.inf


Count = Annotated[int, Range("a whole number", 0)]
Positive = Annotated[int, Range("a whole number of at least 1", 1)]
Amount = Annotated[float, Range("a number of at least 0", 0)]
Fraction = Annotated[float, Range("a fraction between 0 and 1", 0, 1)]


@dataclass(frozen=True)
class Fields:
    """A JSON object and its position in a file.

    If a field is absent or invalid, every method raises ``UserError``, which names the file and the field.

    Attributes:
        file: the file with the object.
        values: the object.
        place: the dotted path of the object in the file, with a dot at its end; empty for the outermost object.
    """

    file: Path
    values: Mapping[str, Any]
    place: str = ""

    @classmethod
    def of(cls, file: Path, value: Any, place: str = "") -> Fields:
        """Check that a value is an object.

        Args:
            file: the file with the object.
            value: the parsed JSON.
            place: the dotted path of the object in the file, with a dot at its end.

        Raises:
            UserError: it is not an object.
        """
        if not isinstance(value, dict):
            what = f"{file}: {place.rstrip('.')}" if place else str(file)
            raise UserError(f"{what} is not an object", REMEDY)
        return cls(file, value, place)

    @classmethod
    def of_file(cls, file: Path) -> Fields:
        """The object in a JSON file."""
        return cls.of(file, read_json(file))

    @classmethod
    def of_metadata(cls, file: Path, metadata: Mapping[str, str], *, texts: Sequence[str] = ()) -> Fields:
        """The metadata of a safetensors file, whose texts are JSON.

        Args:
            file: the file.
            metadata: texts by name.
            texts: names of metadata that are not JSON, but plain.
        """
        values: dict[str, Any] = {}
        for name, text in metadata.items():
            try:
                values[name] = text if name in texts else parse_json(text)
            except ValueError as error:
                raise UserError(f"{file}: {name} is not valid JSON: {error}", REMEDY) from error
        return cls(file, values)

    def __contains__(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self.values.get(name) is not None

    def value(self, name: str, kind: Any) -> Any:
        """The value of a field.

        Args:
            name: the name of the field.
            kind: a type annotation: a scalar, ``Literal``, ``Annotated`` with a ``Range``, a list, tuple or mapping of
                these, ``Any``, a union, or a record.

        Returns:
            The value as ``kind`` has it: integers become floats, and lists tuples, if the annotation says so.
        """
        if name not in self.values:
            self.refuse(name, "there")
        return _checked(self.file, f"{self.place}{name}", self.values[name], kind)

    def part(self, name: str) -> Fields:
        """An object within this one."""
        return Fields.of(self.file, self.value(name, Any), f"{self.place}{name}.")

    def arguments(self, target: type[Any], *, without: Sequence[str] = ()) -> dict[str, Any]:
        """The values of a dataclass's fields, each checked against its annotation.

        Args:
            target: the dataclass. A field with a default may be absent. Keys without a field are ignored, because a
                newer version may have written them.
            without: names of fields that are not read.
        """
        kinds = _annotations(target)
        return {
            field.name: self.value(field.name, kinds[field.name])
            for field in fields(target)
            if field.name not in without and (field.name in self.values or _is_required(field))
        }

    def check_derived(self, name: str, expected: float, source: str = "the accuracies") -> None:
        """Make sure that a number that is computed from others agrees with them.

        Args:
            name: the name of the field.
            expected: what follows from the others.
            source: these others, in words.
        """
        if not math.isclose(self.value(name, float), expected, rel_tol=1e-6, abs_tol=1e-6):
            self.refuse(name, f"{expected:.6g}, which follows from {source}")

    def refuse(self, name: str, wanted: str) -> NoReturn:
        """Raise the error that a field is not ``wanted``, or that it is missing."""
        wanted = wanted if name in self.values else ""
        raise _damaged(self.file, f"{self.place}{name}", wanted)


def with_present_names(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in a file by their present names.

    Args:
        kind: the name of a method, ``experts``, ``recipe`` or ``state``; names of any other kind are unchanged.
        values: the settings by name; if an old and a present name are both there, the present one wins.
    """
    renamed = RENAMED.get(kind, {})
    old = {renamed[name]: value for name, value in values.items() if name in renamed}
    return {**old, **{name: value for name, value in values.items() if name not in renamed}}


def with_old_names(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by the names that older files have; the inverse of ``with_present_names``.

    Args:
        kind: as there.
        values: the settings by their present names.
    """
    old = {present: name for name, present in RENAMED.get(kind, {}).items()}
    return {old.get(name, name): value for name, value in values.items()}


@cache
def _annotations(target: type[Any]) -> Mapping[str, Any]:
    """The annotation of each field; a record may have thousands of parts of one class."""
    return get_type_hints(target, include_extras=True)


def _is_required(field: Any) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _damaged(file: Path, place: str, wanted: str) -> UserError:
    return UserError(f"{file}: {place} is {f'not {wanted}' if wanted else 'missing'}", REMEDY)


def _checked(file: Path, place: str, value: Any, kind: Any) -> Any:
    """``value``, checked against the annotation ``kind``.

    Raises:
        UserError: it does not match.
    """
    origin, of = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin is Annotated:
        return _in_range(file, place, value, *of)
    if origin in (Union, UnionType):
        return _one_of(file, place, value, of)
    if origin is Literal:
        if value in of:
            return value
        raise _damaged(file, place, f"one of {', '.join(map(str, of))}")
    if origin in (list, tuple):
        return _items(file, place, value, origin, of)
    if origin is not None:  # a mapping
        parts = Fields.of(file, value, f"{place}.")
        return {name: parts.value(name, of[1]) for name in parts.values}
    if kind in SCALARS:
        return _scalar(file, place, value, kind)
    return kind.from_json(Fields.of(file, value, f"{place}."))


def _scalar(file: Path, place: str, value: Any, kind: type) -> Any:
    accepted = (int, float) if kind is float else (kind,)
    if type(value) not in accepted or (kind is float and not math.isfinite(value)):
        raise _damaged(file, place, SCALARS[kind])
    return float(value) if kind is float else value


def _in_range(file: Path, place: str, value: Any, kind: type, allowed: Range) -> Any:
    accepted = (int, float) if kind is float else (int,)
    if type(value) not in accepted or not allowed.low <= value <= allowed.high or math.isinf(value):
        raise _damaged(file, place, allowed.words)
    return kind(value)


def _one_of(file: Path, place: str, value: Any, kinds: Sequence[Any]) -> Any:
    """The value as the first kind that accepts it; otherwise the error of the last kind."""
    if value is None and NoneType in kinds:
        return None
    *others, last = [kind for kind in kinds if kind is not NoneType]
    for kind in others:
        try:
            return _checked(file, place, value, kind)
        except UserError:
            continue
    return _checked(file, place, value, last)


def _items(file: Path, place: str, value: Any, origin: type, of: tuple[Any, ...]) -> Any:
    if not isinstance(value, list):
        raise _damaged(file, place, "a list")
    if origin is list or of[-1] is Ellipsis:
        of = (of[0],) * len(value)
    elif len(value) != len(of):
        raise _damaged(file, place, f"a list of {len(of)} values")
    return origin(
        _checked(file, f"{place}[{n}]", item, kind) for n, (item, kind) in enumerate(zip(value, of, strict=True))
    )
