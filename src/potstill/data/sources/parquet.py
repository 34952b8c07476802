"""Parquet files, in the layout in which the Hugging Face hub stores image datasets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from potstill.data.catalogue import CatalogueEntry
from potstill.data.choices import Choices
from potstill.data.found import Found
from potstill.data.sources.base import Request, first_line, stamps
from potstill.data.sources.tables import ROWS, Named, found_tables
from potstill.runtime.errors import UserError

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True)
class ParquetFolder:
    """Parquet files whose names, or whose folders' names, say which split they belong to."""

    name: str
    folder: Path
    entry: CatalogueEntry | None = None

    @classmethod
    def recognise(cls, request: Request) -> Self | None:
        """A folder with parquet files at any depth."""
        folder = request.folder
        if folder is None or next(folder.rglob("*.parquet"), None) is None:
            return None
        return cls(request.name, folder, request.entry)

    def signature(self) -> Any:
        """The stamps of the files, and how they are read."""
        return {"parquet": stamps(self.files()), "entry": self.entry and self.entry.name}

    def files(self) -> list[Path]:
        """The files, sorted."""
        config = self.entry.config if self.entry is not None and self.entry.config else ""
        # A copy of the hub's repository has a folder for each of its configurations.
        folder = self.folder / config if (self.folder / config).is_dir() else self.folder
        return sorted(folder.rglob("*.parquet"))

    def find(self, choices: Choices) -> Found:
        """The tables in the files.

        Raises:
            UserError: a file is not parquet, or as in :func:`potstill.data.sources.tables.found_tables`.
        """
        tables = [self._named(path) for path in self.files()]
        splits = self.entry.splits if self.entry is not None else {}
        preferred = (self.entry.image_column, self.entry.label_column) if self.entry is not None else ("image", "label")
        return found_tables(tables, "parquet files", str(self.folder), preferred, splits)

    def _named(self, path: Path) -> Named:
        inside = path.relative_to(self.folder)
        names = (inside.stem, *reversed(inside.parts[:-1]))
        return Named(ParquetTable(path), inside.as_posix(), names)


class ParquetTable:
    """A parquet file, of which only the columns that are asked for are read, some rows at a time.

    Args:
        path: the file.

    Raises:
        UserError: the file is not parquet or is damaged.
    """

    def __init__(self, path: Path) -> None:
        from pyarrow import parquet

        self.path = path
        try:
            with parquet.ParquetFile(path) as file:
                self.schema, self.rows = file.schema_arrow, file.metadata.num_rows
        except (OSError, ValueError) as error:
            raise _damaged(path, error) from error

    def batches(self, column: str) -> Iterator[pyarrow.Array]:
        """The values of a column, some rows at a time."""
        from pyarrow import parquet

        try:
            with parquet.ParquetFile(self.path) as file:
                for batch in file.iter_batches(ROWS, columns=[column]):
                    yield batch.column(0)
        except (OSError, ValueError) as error:
            raise _damaged(self.path, error) from error


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(f"cannot read parquet in {path}: {first_line(error)}", "download or write it again")
