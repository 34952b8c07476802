"""Tables in Arrow's format: which column holds the images, which the classes, and reading both."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from potstill.data.found import UNLABELLED, Encoded, Found, Labels, Part
from potstill.runtime.errors import UserError

if TYPE_CHECKING:
    import pyarrow

IMAGE_COLUMNS = ("image", "img", "images", "pixel_values")
LABEL_COLUMNS = ("label", "labels", "fine_label", "class", "target")
ROWS = 1000  # read at a time


class Table(Protocol):
    """A table in a file or in memory."""

    @property
    def schema(self) -> pyarrow.Schema:
        """The columns with their types, and perhaps what the hub says about them."""
        ...

    @property
    def rows(self) -> int:
        """The number of rows."""
        ...

    def batches(self, column: str) -> Iterator[pyarrow.Array]:
        """The values of a column, some rows at a time."""
        ...


@dataclass(frozen=True, eq=False)
class Named:
    """A table with its position in the dataset.

    Attributes:
        table: the table.
        origin: where it comes from, in words.
        names: what may say which split it is, as in :class:`potstill.data.found.Part`.
    """

    table: Table
    origin: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Columns:
    """The columns to read.

    Attributes:
        image: the name of the column of images.
        label: the name of the column of classes.
        class_names: the name of each class, if the table has them.
    """

    image: str
    label: str
    class_names: tuple[str, ...] | None


def found_tables(
    tables: Sequence[Named], layout: str, where: str, preferred: tuple[str, str], splits: Mapping[str, str]
) -> Found:
    """What a dataset of tables holds.

    Args:
        tables: in the order in which images are numbered.
        layout: the layout, in words.
        where: the dataset's name in errors.
        preferred: the image and label columns that the catalogue names.
        splits: as in :class:`potstill.data.found.Found`.

    Raises:
        UserError: a column is missing, or labels are not class indices.
    """
    parts = tuple(_part(named, where, preferred) for named in tables)
    return Found(layout, where, parts, columns=True, splits=splits)


def features_of(schema: pyarrow.Schema) -> Mapping[str, Any]:
    """What the hub's library has written about the columns; empty if it has not written the table."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def find_columns(schema: pyarrow.Schema, where: str, image: str, label: str) -> Columns:
    """Find the image and label columns by their types.

    Args:
        schema: the table's columns and their types.
        where: the table's name in errors.
        image: the name to prefer among columns of images.
        label: the name to prefer among columns of classes.

    Raises:
        UserError: there is no column of images, or none of class indices.
    """
    from pyarrow import types

    names = {name: _class_names(feature) for name, feature in features_of(schema).items()}
    image_columns = [field.name for field in schema if _holds_images(field.type)]
    integers = [field.name for field in schema if types.is_integer(field.type)]
    labelled = [name for name in integers if names.get(name)]
    image_column = _preferred(image_columns, (image, *IMAGE_COLUMNS))
    label_column = _preferred(labelled, (label, *LABEL_COLUMNS)) or _preferred(integers, (label, *LABEL_COLUMNS))
    named_label = next((name for name in (label, *LABEL_COLUMNS) if name in schema.names), None)
    if image_column is None:
        raise UserError(
            f"{where} has no column of images among {', '.join(schema.names)}",
            "store encoded images in a column named image",
        )
    if label_column is None and named_label is not None:
        raise UserError(
            f"labels of {where} are not integers (column {named_label!r} holds {schema.field(named_label).type})",
            "store one class index per image, counted from 0",
        )
    if label_column is None:
        raise UserError(
            f"{where} has no column of class labels among {', '.join(schema.names)}",
            "store class indices in a column named label",
        )
    return Columns(image_column, label_column, names.get(label_column))


def _part(named: Named, where: str, preferred: tuple[str, str]) -> Part:
    place = f"{where}, {named.origin}"
    columns = find_columns(named.table.schema, place, *preferred)
    values = [
        np.asarray(batch.fill_null(UNLABELLED).to_numpy(zero_copy_only=False))
        for batch in named.table.batches(columns.label)
    ]
    labels = Labels.of_numbers(np.concatenate(values) if values else np.empty(0, np.int64), place, columns.class_names)
    return Part(
        Encoded(named.table.rows, lambda: _rows(named.table, columns.image, place)), labels, named.origin, named.names
    )


def _rows(table: Table, column: str, where: str) -> Iterator[tuple[bytes | Path, str]]:
    """The encoded images with their names, in order."""
    number = 0
    for batch in table.batches(column):
        for cell in batch.to_pylist():
            yield _encoded(cell, f"row {number} of {where}"), f"row {number} of {where}"
            number += 1


def _encoded(cell: Any, where: str) -> bytes | Path:
    """The content of a cell: an image's bytes, or the path of a file that the hub's library put beside the table."""
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    if content is not None:
        return content
    if isinstance(cell, dict) and cell.get("path"):
        return Path(cell["path"])
    raise UserError(f"{where} has no image", "remove the row or store encoded images in the table")


def _holds_images(kind: pyarrow.DataType) -> bool:
    """Whether a column holds images, also in a file whose metadata were lost."""
    from pyarrow import types

    if types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0
    return types.is_binary(kind) or types.is_large_binary(kind)


def _class_names(feature: Any) -> tuple[str, ...] | None:
    names = feature.get("names") if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" else None
    return tuple(map(str, names)) if isinstance(names, list) and names else None


def _preferred(found: list[str], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in found), found[0] if found else None)
