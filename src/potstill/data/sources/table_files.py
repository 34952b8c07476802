"""The table files below a folder, or a single one, and what their names may say about splits."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from potstill.data.sources.base import Request
from potstill.runtime.errors import UserError

REMEDY = "download or write it again"
ROWS_PER_BYTE = 16
"""The most rows that a byte of a file can stand for: a row has an image of its own."""


@dataclass(frozen=True)
class TableFiles:
    """Files of tables.

    Attributes:
        name: what the dataset is called in records.
        root: the folder below which they lie.
        paths: the files, sorted.
        single: whether one file was named: then its name says nothing about splits.
    """

    name: str
    root: Path
    paths: tuple[Path, ...]
    single: bool = False

    @property
    def where(self) -> str:
        """The dataset's name in errors."""
        return str(self.paths[0] if self.single else self.root)

    def names(self, path: Path) -> tuple[str, ...]:
        """What may say which split a file is: its name, then those of its folders from the inside out."""
        if self.single:
            return ()
        inside = path.relative_to(self.root)
        return (inside.stem, *reversed(inside.parts[:-1]))

    def origin(self, path: Path) -> str:
        """The file's name below the root."""
        return path.relative_to(self.root).as_posix()


def table_files(request: Request, suffix: str, subfolder: str | None = None) -> TableFiles | None:
    """The files with a suffix that a request names, or None if there are none.

    Hidden files and folders are left out at every depth.

    Args:
        request: the dataset that is asked for: a file, or a folder with files at any depth.
        suffix: such as ``.parquet``.
        subfolder: the folder to read if there is one of that name: the hub has one for each configuration.
    """
    path = request.path
    if path is None:
        return None
    if path.suffix.lower() == suffix and path.exists() and not path.is_dir():
        return TableFiles(path.stem, path.parent, (path,), single=True)
    if request.folder is None:
        return None
    root = path / subfolder if subfolder and (path / subfolder).is_dir() else path
    paths = tuple(sorted(below(root, suffix)))
    return TableFiles(request.name, root, paths) if paths else None


def below(root: Path, suffix: str) -> Sequence[Path]:
    """The files with a suffix in a folder at any depth, in no order, without hidden ones; links are not followed."""
    found: list[Path] = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(folder, name) for name in files if name.lower().endswith(suffix) and not name.startswith(".")]
    return found


def check_rows(rows: int, path: Path) -> None:
    """Refuse a file that promises more rows than it can hold, before anything is allocated for them.

    Raises:
        UserError: there are more than ``ROWS_PER_BYTE``.
    """
    size = path.stat().st_size
    if rows > size * ROWS_PER_BYTE:
        raise UserError(f"{path} is damaged: {size:,} bytes cannot hold {rows:,} images", REMEDY)
