"""A folder of parquet files, in the layout in which the Hugging Face hub stores image datasets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from potstill.data.catalogue import CatalogueEntry
from potstill.data.sources.base import SPLIT_ALIASES, RawDataset, Request, first_line, split_role, stamps
from potstill.runtime.errors import UserError


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
        files = [path for paths in self.split_files().values() for path in paths]
        return {"parquet": stamps(files), "entry": self.entry and self.entry.name}

    def split_files(self) -> dict[str, list[Path]]:
        """The files of each split, sorted; if none is named train, those whose names say nothing are."""
        chosen = self.entry.splits if self.entry is not None else {}
        config = self.entry.config if self.entry is not None and self.entry.config else ""
        # A copy of the hub's repository has a folder for each of its configurations.
        folder = self.folder / config if (self.folder / config).is_dir() else self.folder
        named: dict[str, list[Path]] = {}
        for path in sorted(folder.rglob("*.parquet")):
            words = re.split(r"[^a-z]+", path.relative_to(folder).with_suffix("").as_posix().lower())
            named.setdefault(next((word for word in words if word in SPLIT_ALIASES), ""), []).append(path)
        unnamed = named.pop("", [])
        found: dict[str, list[Path]] = {}
        for published, paths in named.items():
            if role := split_role(published, chosen):
                found.setdefault(role, []).extend(paths)
        return found if "train" in found or not unnamed else {"train": unnamed, **found}

    def read(self, image_size: int | None, channels: int | None) -> RawDataset:
        """Decode the images in the files.

        Args:
            image_size: as in :func:`potstill.data.decode.decode_images`.
            channels: as in :func:`potstill.data.decode.decode_images`.

        Raises:
            UserError: a file is not parquet, or as in :func:`potstill.data.sources.table.read_tables`.
        """
        import datasets

        from potstill.data.sources.table import read_tables

        files = self.split_files()
        for path in (path for paths in files.values() for path in paths):
            _check(path)
        named = {split: [str(path) for path in paths] for split, paths in files.items()}
        try:
            # Streaming reads the files in place; otherwise they would first be copied to a cache.
            tables: Any = datasets.load_dataset("parquet", data_files=named, streaming=True)
            return read_tables(tables, str(self.folder), self.entry, image_size=image_size, channels=channels)
        except (OSError, ValueError) as error:
            raise _damaged(self.folder, error) from error


def _check(path: Path) -> None:
    """Read the footer: errors of ``datasets`` do not name the file."""
    from pyarrow import parquet

    try:
        parquet.read_schema(path)
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(f"cannot read parquet in {path}: {first_line(error)}", "download or write it again")
