"""Records: dataclasses that are written to JSON files and read back, declared once for both directions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Any, ClassVar, Self

from potstill.runtime.files import write_json
from potstill.schema.fields import Fields


@dataclass(frozen=True, kw_only=True)
class Record:
    """A frozen dataclass that is an object in a JSON file.

    The fields' names, order and annotations are the layout of the file. A record with another layout, or with values
    that are derived on writing, overrides ``to_json`` and ``from_json``.
    """

    SCHEMA: ClassVar[int | None] = None
    """The version, written as the first key of a record that is a whole file; None for a part of a file."""

    def to_json(self) -> dict[str, Any]:
        """The object as plain values."""
        version = {} if self.SCHEMA is None else {"schema": self.SCHEMA}
        return {**version, **{field.name: plain(getattr(self, field.name)) for field in fields_of(self)}}

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """The record that ``to_json`` wrote.

        Raises:
            UserError: a field is absent or does not match its annotation; the error names the file and the field.
        """
        return cls(**fields.arguments(cls))

    def write(self, path: str | Path) -> None:
        """Write the file, atomically."""
        write_json(Path(path), self.to_json())

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read the file.

        Raises:
            UserError: the file is absent, damaged, or of another version; the error names the file and the field.
        """
        fields = Fields.of_file(Path(path))
        if cls.SCHEMA is not None and fields.value("schema", int) != cls.SCHEMA:
            fields.refuse("schema", f"{cls.SCHEMA}, the version that this Potstill reads")
        return cls.from_json(fields)


@dataclass(frozen=True, kw_only=True)
class SetRecord(Record):
    """A file about one synthetic set, measured on one dataset."""

    FILE: ClassVar[str]
    """Its usual name in the folder of a run."""

    set_sha256: str
    dataset_fingerprint: str


def plain(value: Any) -> Any:
    """A value as JSON represents it: records as objects, tuples as lists."""
    if isinstance(value, Record):
        return value.to_json()
    if isinstance(value, Mapping):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value
