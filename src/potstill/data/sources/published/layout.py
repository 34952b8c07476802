"""A layout: the names of its files, where they lie, and what reads them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from potstill.data.found import Part
from potstill.runtime.errors import UserError
from potstill.runtime.reading import TooLarge, cannot_read, read_regular
from potstill.schema.account import LeftOut

REMEDY = "download and unpack it again"


class Files(NamedTuple):
    """The files that were found, and what is known beside them.

    Attributes:
        paths: the files, sorted.
        chosen: the names of published splits that the user chose; empty without a choice.
        class_names: the names of the classes, if the catalogue knows them.
    """

    paths: Sequence[Path]
    chosen: frozenset[str] = frozenset()
    class_names: tuple[str, ...] | None = None


class Pieces(NamedTuple):
    """What a layout reads.

    Attributes:
        parts: images and labels.
        left_out: what is not read, and why.
        remarks: decisions, one sentence each.
    """

    parts: tuple[Part, ...]
    left_out: tuple[LeftOut, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """The files of a dataset as it is published.

    Attributes:
        words: the layout in words.
        names: a pattern of the names of its files.
        needed: patterns, each of which at least one file has to fit.
        below: folders in which the files may lie, below the folder that is named.
        read: the images and labels in the files that were found.
        single: whether one file is a dataset in itself.
    """

    words: str
    names: str
    needed: tuple[str, ...]
    below: tuple[str, ...]
    read: Callable[[Files], Pieces]
    single: bool = False

    def has(self, name: str) -> bool:
        """Whether a file of this name belongs to the layout."""
        return re.fullmatch(self.names, name) is not None

    def places(self, folder: Path) -> list[Path]:
        """The folders that exist in which the files may lie."""
        return [place for place in (folder, *(folder / below for below in self.below)) if place.is_dir()]

    def files(self, folder: Path) -> tuple[Path, ...]:
        """The files of the layout in a folder, sorted."""
        return tuple(sorted(path for path in folder.iterdir() if self.has(path.name) and not path.is_dir()))

    def is_complete(self, files: Sequence[Path]) -> bool:
        """Whether there is at least one file for every needed pattern."""
        return all(any(re.fullmatch(pattern, path.name) for path in files) for pattern in self.needed)


def read_within(path: Path, limit: int) -> bytes:
    """The contents of a file of limited size.

    Args:
        path: the file.
        limit: the most bytes that it may have.

    Raises:
        UserError: it is absent, larger or not a regular file.
    """
    try:
        return read_regular(path, limit)
    except TooLarge as error:
        raise UserError(f"{path} is larger than the published file: {error}", REMEDY) from error
    except OSError as error:
        raise cannot_read(path, error, REMEDY) from error


def read_names(path: Path) -> tuple[str, ...]:
    """The names of classes in a text file, one per line.

    Raises:
        UserError: it is absent or not such a file.
    """
    try:
        lines = read_within(path, 2**20).decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a list of names", REMEDY) from error
    return tuple(line.strip() for line in lines if line.strip())
