"""Tables in Arrow's format: labels and vectors are read at once, images some rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from potstill.data.catalogue import CatalogueEntry
from potstill.data.choices import Choices
from potstill.data.found import UNLABELLED, Encoded, Found, Labels, Part, VectorArray
from potstill.data.sources.base import stamps
from potstill.data.sources.columns import USABLE, Columns, Described, find_columns
from potstill.data.sources.table_files import TableFiles
from potstill.data.split_names import usual_role
from potstill.runtime.errors import UserError, in_one_line
from potstill.schema.account import LeftOut

if TYPE_CHECKING:
    import pyarrow

ROWS = 1000  # read at a time
LONGEST_NAME = 2**12
"""The most characters of a class's name; a longer text is something else, and need not be kept in memory."""


class ColumnarTable(Protocol):
    """A table in a file or in memory."""

    @property
    def schema(self) -> pyarrow.Schema:
        """The columns with their types, and perhaps what the hub's library says about them."""
        ...

    @property
    def rows(self) -> int:
        """The number of rows."""
        ...

    @property
    def folders(self) -> Sequence[Path]:
        """The folders in which image files may lie that the table names; the first is that of relative paths."""
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

    table: ColumnarTable
    origin: str
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Collection:
    """The tables of a dataset.

    Attributes:
        tables: in the order in which images are numbered.
        layout: the layout, in words.
        where: the dataset's name in errors.
        preferred: the image and label columns that the catalogue names, if it knows the dataset.
        splits: as in :class:`potstill.data.found.Found`.
        named: likewise.
    """

    tables: Sequence[Named]
    layout: str
    where: str
    preferred: tuple[str, str] | None
    splits: Mapping[str, str]
    named: bool = False

    def found(self, choices: Choices) -> Found:
        """What the tables hold. The training tables decide on the columns.

        Tables without images, or without vectors where no table has images, are left out.

        Args:
            choices: the user's choices of columns.

        Raises:
            UserError: a column is missing or ambiguous, tables disagree, or labels cannot be classes.
        """
        described = {named: Described.of(named.table.schema, self._place(named)) for named in self.tables}
        with_images = _with(described, Described.holds_images) or _with(described, Described.holds_vectors)
        deciding = next(
            (named for named in with_images if choices.roles or usual_role(named.names) == "train"),
            (with_images or self.tables)[0],
        )
        columns = find_columns(described[deciding], choices, self.preferred)
        parts = tuple(_part(named, described[named], columns, described[deciding]) for named in with_images)
        if not columns.certain:
            _check_classes([part.labels for part in parts], columns.label, self.where)
        kind = "vectors" if described[deciding].holds_vectors(columns.image) else "images"
        without = [named for named in self.tables if named not in with_images]
        return Found(
            layout=self.layout,
            where=self.where,
            parts=parts,
            columns=True,
            named=self.named,
            splits=self.splits,
            left_out=tuple(LeftOut(count=1, what=f"table {n.origin}", why=f"it has no {kind}") for n in without),
            remarks=() if (columns.image, columns.label) == self.preferred else (columns.remark,),
        )

    def _place(self, named: Named) -> str:
        """A table's name in errors: that of the dataset and, if it is not the only file, its own."""
        return self.where if Path(self.where).name == named.origin else f"{self.where}, {named.origin}"


def _with(described: Mapping[Named, Described], holds: Callable[[Described, str], bool]) -> list[Named]:
    """The tables with a column that holds something."""
    return [named for named, each in described.items() if any(holds(each, name) for name in each.schema.names)]


@dataclass(frozen=True)
class TableSource:
    """What the sources of table files have in common."""

    FORMAT: ClassVar[str]
    """Of the files, in the signature."""

    files: TableFiles
    entry: CatalogueEntry | None = None

    @property
    def name(self) -> str:
        """What the dataset is called in records."""
        return self.files.name

    def signature(self) -> Any:
        """The stamps of the files, and how they are read."""
        return {self.FORMAT: stamps(self.files.paths), "entry": self.entry and self.entry.name}

    def found(self, tables: Sequence[Named], layout: str, choices: Choices, *, named: bool = False) -> Found:
        """The images and labels in the tables.

        Args:
            tables: one for each file.
            layout: the layout, in words.
            choices: what to take where the files leave a choice.
            named: whether the files say which splits there are, whatever these are called.

        Raises:
            UserError: as in :meth:`Collection.found`.
        """
        entry = self.entry
        return Collection(
            tables=tables,
            layout=layout,
            where=self.files.where,
            preferred=None if entry is None else (entry.image_column, entry.label_column),
            splits={} if entry is None else entry.splits,
            named=named,
        ).found(choices)


def _part(named: Named, table: Described, columns: Columns, deciding: Described) -> Part:
    """The images and labels of one table, if its columns are those of the deciding table."""
    present = columns.image in table.schema.names
    vectors = present and table.holds_vectors(columns.image)
    if not present or not (vectors or table.holds_images(columns.image)):
        kind = "vectors" if deciding.holds_vectors(columns.image) else "images"
        raise UserError(
            f"{deciding.where} has its {kind} in the column {columns.image!r}, which {table.where} does not have",
            "store all files with the same columns, or remove those of another dataset",
        )
    if vectors:
        return Part(
            VectorArray(vectors_of(named.table, columns.image, table.where), table.where),
            _labels(named.table, table, columns),
            named.origin,
            named.names,
        )
    images = Encoded(named.table.rows, lambda: _rows(named.table, columns.image, table.where), stamped=False)
    return Part(images, _labels(named.table, table, columns), named.origin, named.names)


def vectors_of(table: ColumnarTable, column: str, where: str) -> np.ndarray:
    """The lists of a column as rows (N, D); a number that is missing is NaN.

    Args:
        table: the table.
        column: the name of a column of lists of floating-point numbers.
        where: the table's name in errors.

    Raises:
        UserError: a list is missing or empty, or they differ in length.
    """
    from pyarrow import compute

    rows: list[np.ndarray] = []
    length, count = 0, 0
    for batch in table.batches(column):
        lengths = compute.call_function("list_value_length", [batch])
        sizes = compute.fill_null(lengths, 0).to_numpy(zero_copy_only=False)
        length = length or int(sizes[0]) if len(sizes) else length
        wrong = np.flatnonzero((sizes != length) | (sizes == 0))
        if len(wrong):
            raise UserError(
                f"row {count + wrong[0]} of {where} has {int(sizes[wrong[0]]):,} numbers in the column {column!r}, "
                f"{'where others have ' + format(length, ',') if length else 'not a vector'}",
                "store vectors of one length",
            )
        rows.append(batch.flatten().to_numpy(zero_copy_only=False).reshape(len(sizes), length))
        count += len(sizes)
    return np.concatenate(rows) if rows else np.empty((0, 0), np.float32)


def _labels(table: ColumnarTable, described: Described, columns: Columns) -> Labels:
    """The labels of one table; of a table without the column, none."""
    import pyarrow
    from pyarrow import compute

    if columns.label not in described.schema.names:
        return Labels(np.full(table.rows, UNLABELLED, np.int64))
    kind = described.kind(columns.label)
    if kind not in USABLE:
        raise UserError(
            f"{described.where} has labels of {described.schema.field(columns.label).type}, unlike the other files",
            "store all files with the same columns",
        )
    try:
        if kind == "text":
            return _text_labels(batch.cast(pyarrow.large_string()) for batch in table.batches(columns.label))
        numbers = [compute.fill_null(batch.cast(pyarrow.int64()), UNLABELLED) for batch in table.batches(columns.label)]
        values = pyarrow.chunked_array(numbers, pyarrow.int64()).to_numpy()
    except (pyarrow.ArrowException, ValueError, OverflowError) as error:
        raise UserError(
            f"cannot read the labels of {described.where}: {in_one_line(error)}", "download or write it again"
        ) from error
    if kind == "boolean":
        return Labels(values, ("false", "true"), ordered=True)
    return Labels.of_numbers(values, described.where, described.class_names(columns.label))


def _check_classes(labels: Sequence[Labels], column: str, where: str) -> None:
    """Refuse labels that differ for every image, as an index does, and numbers with gaps, as a year or a size has."""
    seen: set[str | int] = set()
    count = 0
    for part in labels:
        numbers = part.values[part.values >= 0]
        distinct = np.unique(numbers).tolist()
        seen.update(distinct if part.names is None else (part.names[number] for number in distinct))
        count += len(numbers)
    if count > 2 and len(seen) == count:
        raise UserError(
            f"the column {column!r} of {where} differs for every image, as an index or a caption does",
            "name the column of classes with `label_column`",
        )
    if all(isinstance(label, int) for label in seen) and seen != set(range(len(seen))):
        raise UserError(
            f"the column {column!r} of {where} holds numbers other than 0 to {len(seen) - 1}, which may not be classes",
            f"name the column of classes with `label_column`, such as `label_column={column}`",
        )


def _text_labels(batches: Iterable[pyarrow.Array]) -> Labels:
    """Labels that are the names of the classes, each of which is kept once; a missing or empty text is not a label.

    Raises:
        ValueError: a text is too long for a name.
    """
    codes: dict[str, int] = {}
    found: list[int] = []
    for text in (text for batch in batches for text in batch.to_pylist()):
        if text and len(text) > LONGEST_NAME:
            raise ValueError(f"a text has {len(text):,} characters")
        found.append(codes.setdefault(text, len(codes)) if text else UNLABELLED)
    names = sorted(codes)
    place = {name: number for number, name in enumerate(names)}
    order = np.array([*(place[name] for name in codes), UNLABELLED], np.int64)
    return Labels(order[np.array(found, np.int64)], tuple(names))


def _rows(table: ColumnarTable, column: str, where: str) -> Iterator[tuple[bytes | Path, str]]:
    """The encoded images with their names, in order."""
    number = 0
    for batch in table.batches(column):
        for cell in batch.to_pylist():
            name = f"row {number} of {where}"
            yield _encoded(cell, table.folders, name), name
            number += 1


def _encoded(cell: Any, folders: Sequence[Path], where: str) -> bytes | Path:
    """The content of a cell: an image's bytes, or the path of a file beside the table."""
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    if isinstance(content, bytes):
        return content
    named = cell.get("path") if isinstance(cell, dict) else None
    if not isinstance(named, str) or not named:
        raise UserError(f"{where} has no image", "remove the row or store encoded images in the table")
    path = (folders[0] / named).resolve()
    if not any(path.is_relative_to(folder.resolve()) for folder in folders):
        raise UserError(
            f"{where} names the file {named!r} outside the dataset's folder, which is not opened",
            "store encoded images in the table",
        )
    return path
