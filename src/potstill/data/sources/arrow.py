"""Arrow files: folders that ``save_to_disk`` of the hub's library wrote, or plain ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from potstill.data.choices import Choices
from potstill.data.formats.bounds import opened
from potstill.data.found import Found
from potstill.data.sources.base import Request
from potstill.data.sources.table_files import REMEDY, TableFiles, check_rows, table_files
from potstill.data.sources.tables import ROWS, Named, TableSource
from potstill.runtime.errors import UserError
from potstill.schema.fields import Fields

if TYPE_CHECKING:
    import pyarrow

STATE = "state.json"  # which files a saved table has; others are leftovers of the library's cache
SPLITS = "dataset_dict.json"


@dataclass(frozen=True)
class SavedTables(TableSource):
    """Arrow files at any depth; of a folder that ``save_to_disk`` wrote, those that it names."""

    FORMAT: ClassVar[str] = "arrow"

    @classmethod
    def recognise(cls, request: Request) -> Self | None:
        """A file, or a folder with arrow files.

        Raises:
            UserError: it was saved, but a file is missing or the order of its rows is kept apart.
        """
        files = table_files(request, ".arrow")
        if files is None:
            return None
        if files.single:
            return cls(files, request.entry)
        saved = {state.parent for path in files.paths if (state := path.parent / STATE).is_file()}
        named = {path for folder in sorted(saved) for path in _saved_files(folder)}
        paths = tuple(path for path in files.paths if path.parent not in saved or path in named)
        return cls(TableFiles(files.name, files.root, paths), request.entry)

    def find(self, choices: Choices) -> Found:
        """The tables in the files.

        Raises:
            UserError: a file is not in Arrow's format, or as in
                :meth:`potstill.data.sources.tables.Collection.found`.
        """
        files = self.files
        saved = any((files.root / name).is_file() for name in (STATE, SPLITS))
        return self.found(
            [Named(ArrowTable(path), files.origin(path), self._names(path)) for path in files.paths],
            "a folder of save_to_disk" if saved else "arrow files",
            choices,
            named=(files.root / SPLITS).is_file(),
        )

    def _names(self, path: Path) -> tuple[str, ...]:
        """The names of a file and its folders; the files of a saved table are numbered only."""
        names = self.files.names(path)
        return names[1:] if (path.parent / STATE).is_file() and names else names


class ArrowTable:
    """A file in Arrow's format, as a stream or for random access, of which only one column at a time is read.

    Args:
        path: the file.

    Raises:
        UserError: the file is in another format or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.folders = path, (path.parent,)
        from pyarrow import types

        with _opened(path) as (schema, _):
            self.schema: pyarrow.Schema = schema
        # The file does not say how many rows it has: they are counted in a column of numbers, which is small.
        counted = next((number for number, kind in enumerate(schema.types) if types.is_primitive(kind)), 0)
        with _opened(path, counted) as (_, batches):
            self.rows = sum(batch.num_rows for batch in batches)
        check_rows(self.rows, path)

    def batches(self, column: str) -> Iterator[pyarrow.Array]:
        """The values of a column, some rows at a time."""
        with _opened(self.path, self.schema.get_field_index(column)) as (_, batches):
            for batch in batches:
                values = batch.column(0)
                values.validate(full=True)  # offsets are taken from the file: none may point outside
                for start in range(0, len(values), ROWS):
                    yield values.slice(start, ROWS)


@contextmanager
def _opened(path: Path, *columns: int) -> Iterator[tuple[pyarrow.Schema, Iterator[pyarrow.RecordBatch]]]:
    """The schema of a file and its batches, with all columns or with those of the given indices alone."""
    import pyarrow
    from pyarrow import ipc

    options = ipc.IpcReadOptions(included_fields=list(columns))
    with opened(path, REMEDY, "an Arrow table") as stream:
        for_random_access = stream.peek(6).startswith(b"ARROW1")
        with pyarrow.memory_map(str(path)) as memory:
            if for_random_access:
                reader = ipc.open_file(memory, options=options)
                yield reader.schema, (reader.get_batch(number) for number in range(reader.num_record_batches))
            else:
                reader = ipc.open_stream(memory, options=options)
                yield reader.schema, iter(reader)


def _saved_files(folder: Path) -> list[Path]:
    """The files of a saved table.

    Raises:
        UserError: one is missing or lies elsewhere, or the order of the rows is kept in a file of its own.
    """
    state = Fields.of_file(folder / STATE)
    if state.values.get("_indices_data_files"):
        raise UserError(
            f"{folder} stores the order of its rows separately from its images", "save it after flatten_indices()"
        )
    names = [Fields.of(state.file, item).value("filename", str) for item in state.value("_data_files", list[Any])]
    for name in names:
        if Path(name).name != name or not (folder / name).is_file():
            raise UserError(f"{folder / STATE} names the file {name!r}, which does not exist", "copy the whole folder")
    return [folder / name for name in names]
