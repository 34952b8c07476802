"""What all sources have in common: what they are asked for, and what they find."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from potstill.data.catalogue import CatalogueEntry
from potstill.data.choices import Choices
from potstill.data.found import Found
from potstill.runtime.errors import UserError


@dataclass(frozen=True)
class Request:
    """A dataset that was asked for, before its source is known.

    Attributes:
        spec: as the user wrote it, such as ``hf:OWNER/NAME`` or ``photos/cats``.
        entry: its entry of the catalogue, if ``spec`` is a name of the catalogue.
        path: ``spec`` as a path, or the local copy of a catalogue dataset; None if there is no local copy. The path
            need not exist.
    """

    spec: str
    entry: CatalogueEntry | None
    path: Path | None

    @property
    def name(self) -> str:
        """What the dataset is called in records: by the catalogue, or after its folder."""
        if self.entry is not None:
            return self.entry.name
        return self.path.resolve().name if self.path is not None else self.spec

    @property
    def folder(self) -> Path | None:
        """The path, if it is an existing folder."""
        return self.path if self.path is not None and self.path.is_dir() else None


class Finder(Protocol):
    """What finds images."""

    @property
    def name(self) -> str:
        """What the dataset is called in records."""
        ...

    def find(self, choices: Choices) -> Found:
        """Find the images and labels as they were published; nothing is judged or decoded yet.

        Args:
            choices: the user's choices; a source of tables follows those of columns.

        Raises:
            UserError: the source is damaged, or has no images or no labels.
        """
        ...


class Stamped(Finder, Protocol):
    """What finds images, and notices whether they have changed."""

    def signature(self) -> Any:
        """JSON values that change if the images may have changed; None if decoded copies must not be kept."""
        ...


class Source(Stamped, Protocol):
    """A place from which images are read."""

    @classmethod
    def recognise(cls, request: Request) -> Self | None:
        """The source of the dataset that is requested, or None if it is not of this kind.

        Raises:
            UserError: it is of this kind, but malformed or absent.
        """
        ...


def stamps(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Name, size in bytes and modification time in nanoseconds of each file: a cheap check for changes."""
    return [(str(path.absolute()), (status := path.stat()).st_size, status.st_mtime_ns) for path in files]


def existing(path: Path) -> Path:
    """The path itself.

    Raises:
        UserError: it does not exist.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist", "check the path")
    return path
