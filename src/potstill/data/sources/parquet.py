"""Parquet files, in the layout in which the Hugging Face hub stores image datasets, or a single one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from potstill.data.choices import Choices
from potstill.data.formats.bounds import DEFLATE_RATIO, opened
from potstill.data.found import Found
from potstill.data.sources.base import Request
from potstill.data.sources.columns import Described
from potstill.data.sources.table_files import REMEDY, check_rows, table_files
from potstill.data.sources.tables import Named, TableSource
from potstill.runtime.errors import UserError

if TYPE_CHECKING:
    import pyarrow

ROWS = 16
"""Rows read at a time: few, because one large value may stand in all of them and need hardly a byte of the file."""
UNSUSPICIOUS = 2**24
"""The bytes that a piece of a column may decompress to, however few it has: constant labels need hardly any."""


@dataclass(frozen=True)
class ParquetFiles(TableSource):
    """Parquet files whose names, or whose folders' names, say which split they belong to."""

    FORMAT: ClassVar[str] = "parquet"

    @classmethod
    def recognise(cls, request: Request) -> Self | None:
        """A file, or a folder with parquet files at any depth; not class folders with a table of metadata beside."""
        files = table_files(request, ".parquet", request.entry and request.entry.config)
        if files is None:
            return None
        others = [child for child in _folders(files.root) if not any(p.is_relative_to(child) for p in files.paths)]
        if others and not files.single and not any(map(_may_hold_images, files.paths)):
            return None
        return cls(files, request.entry)

    def find(self, choices: Choices) -> Found:
        """The tables in the files.

        Raises:
            UserError: a file is not parquet, or as in :meth:`potstill.data.sources.tables.Collection.found`.
        """
        files = self.files
        return self.found(
            [Named(ParquetTable(path), files.origin(path), files.names(path)) for path in files.paths],
            "parquet file" if files.single else "parquet files",
            choices,
        )


class ParquetTable:
    """A parquet file, of which only the columns that are asked for are read, some rows at a time.

    Args:
        path: the file.

    Raises:
        UserError: the file is not parquet or is damaged, or promises more rows than it can hold.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.folders = path, (path.parent,)
        with _opened(path) as file:
            self.schema: pyarrow.Schema = file.schema_arrow
            self.rows: int = file.metadata.num_rows
        check_rows(self.rows, path)

    def batches(self, column: str) -> Iterator[pyarrow.Array]:
        """The values of a column, some rows at a time.

        Raises:
            UserError: the file decompresses to far more than images and labels do.
        """
        with _opened(self.path) as file:
            self._check_decompressed(file.metadata)
            for batch in file.iter_batches(ROWS, columns=[column]):
                yield batch.column(column)

    def _check_decompressed(self, metadata: Any) -> None:
        """Refuse, before anything is decompressed, a file that itself says to decompress to far too much.

        Only the sizes of row groups are asked for: asked for those of a damaged column, Arrow ends the process.
        """
        stored = self.path.stat().st_size
        whole = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
        if whole > UNSUSPICIOUS and whole > stored * DEFLATE_RATIO:
            raise UserError(
                f"{self.path} has {stored:,} bytes that decompress to {whole:,}, which no dataset needs", REMEDY
            )


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """An open parquet file; whatever fails while it is read is one error with its name."""
    from pyarrow import parquet

    with opened(path, REMEDY, "parquet") as stream, parquet.ParquetFile(stream) as file:
        yield file


def _may_hold_images(path: Path) -> bool:
    """Whether a file has a column of images; a damaged one might have had one."""
    try:
        described = Described.of(ParquetTable(path).schema, str(path))
    except UserError:
        return True
    return any(map(described.holds_images, described.schema.names))


def _folders(root: Path) -> list[Path]:
    return [child for child in root.iterdir() if child.is_dir() and not child.name.startswith(".")]
