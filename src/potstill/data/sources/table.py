"""Tables of Hugging Face ``datasets``: which column holds the images, which the classes, and reading both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import ClassLabel, Dataset, Features, Image, IterableDataset, Value

from potstill.data.catalogue import CatalogueEntry
from potstill.data.decode import decode_images
from potstill.data.sources.base import RawDataset, Split, class_labels, numbered_classes
from potstill.runtime.errors import UserError

IMAGE_COLUMNS = ("image", "img", "images", "pixel_values")
LABEL_COLUMNS = ("label", "labels", "fine_label", "class", "target")
ROWS = 1000  # read at a time


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


def find_columns(features: Features, where: str, image: str, label: str) -> Columns:
    """Find the image and label columns by their types.

    Args:
        features: the table's columns and their types.
        where: the table's name in errors.
        image: the name to prefer among columns of images.
        label: the name to prefer among columns of classes.

    Raises:
        UserError: there is no column of images, or none of class indices.
    """
    image_columns = [name for name, feature in features.items() if _holds_images(feature)]
    labelled = [name for name, feature in features.items() if isinstance(feature, ClassLabel)]
    integers = [name for name, feature in features.items() if _is_integer(feature)]
    image_column = _preferred(image_columns, (image, *IMAGE_COLUMNS))
    label_column = _preferred(labelled, (label, *LABEL_COLUMNS)) or _preferred(integers, (label, *LABEL_COLUMNS))
    named_label = next((name for name in (label, *LABEL_COLUMNS) if name in features), None)
    if image_column is None:
        raise UserError(
            f"{where} has no column of images among {', '.join(features)}",
            "store encoded images in a column named image",
        )
    if label_column is None and named_label is not None:
        raise UserError(
            f"labels of {where} are not integers (column {named_label!r} holds {features[named_label]})",
            "store one class index per image, counted from 0",
        )
    if label_column is None:
        raise UserError(
            f"{where} has no column of class labels among {', '.join(features)}",
            "store class indices in a column named label",
        )
    feature = features[label_column]
    return Columns(image_column, label_column, tuple(feature.names) if isinstance(feature, ClassLabel) else None)


def read_tables(
    tables: Mapping[str, Dataset | IterableDataset],
    where: str,
    entry: CatalogueEntry | None,
    *,
    image_size: int | None,
    channels: int | None,
) -> RawDataset:
    """Decode the tables of a dataset's splits.

    Args:
        tables: by split.
        where: the dataset's name in errors.
        entry: names the columns to prefer if several are possible.
        image_size: as in :func:`potstill.data.decode.decode_images`.
        channels: as in :func:`potstill.data.decode.decode_images`.

    Raises:
        UserError: a column is missing, an image is damaged or a label is not a class index.
    """
    preferred = (entry.image_column, entry.label_column) if entry is not None else ("image", "label")
    splits: dict[str, Split] = {}
    names: tuple[str, ...] | None = None
    for split, table in tables.items():
        place = f"{where}, split {split}"
        columns = find_columns(table.features or Features(), place, *preferred)
        names = names or columns.class_names
        labels: list[np.ndarray] = []
        images = decode_images(_rows(table, columns, place, labels), image_size=image_size, channels=channels)
        splits[split] = Split(images, class_labels(np.concatenate(labels or [np.empty(0, np.int64)]), place))
    return RawDataset(splits, names or numbered_classes(splits))


def _rows(
    table: Dataset | IterableDataset, columns: Columns, where: str, labels: list[np.ndarray]
) -> Iterator[tuple[bytes | Path, str]]:
    """The encoded images with their names, in order; their labels are appended to ``labels`` on the way."""
    number = 0
    chosen: Any = table.select_columns([columns.image, columns.label]).with_format("arrow")
    for batch in chosen.iter(batch_size=ROWS):
        column = batch[columns.label]
        if column.null_count:
            raise UserError(f"{where} has rows without a label", "remove them")
        labels.append(column.to_numpy())
        for cell in batch[columns.image].to_pylist():
            yield _encoded(cell, f"row {number} of {where}"), f"row {number} of {where}"
            number += 1


def _encoded(cell: Any, where: str) -> bytes | Path:
    """The content of a cell: an image's bytes, or the path of a file that ``datasets`` downloaded beside the table."""
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    if content is not None:
        return content
    if isinstance(cell, dict) and cell.get("path"):
        return Path(cell["path"])
    raise UserError(f"{where} has no image", "remove the row or store encoded images in the table")


def _holds_images(feature: Any) -> bool:
    """Whether a column holds images, also in a file whose metadata were lost."""
    if isinstance(feature, dict):
        return "bytes" in feature
    return isinstance(feature, Image) or (isinstance(feature, Value) and feature.dtype in ("binary", "large_binary"))


def _is_integer(feature: Any) -> bool:
    return isinstance(feature, Value) and feature.dtype.startswith(("int", "uint"))


def _preferred(found: list[str], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in found), found[0] if found else None)
