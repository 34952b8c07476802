"""The image files below a folder or in a zip archive as a tree, and what was left out of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from potstill.data.formats.zip_archive import list_members
from potstill.data.raster import FORMATS, readable_suffixes
from potstill.runtime.errors import UserError
from potstill.runtime.reading import cannot_read
from potstill.schema.account import LeftOut

DEEPEST = 64  # folders within each other
SHOWN_SUFFIXES = 6

Parts = tuple[str, ...]  # folders and name of a file, from the root of its tree


@dataclass(frozen=True)
class Folder:
    """A folder with its images.

    Attributes:
        parts: the names of the folders from the root to this one; empty for the root.
        folders: those in it, by name and in the order of their names.
        images: the names of the images directly in it, sorted.
    """

    parts: Parts
    folders: dict[str, Folder]
    images: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name; empty for the root."""
        return self.parts[-1] if self.parts else ""

    @cached_property
    def count(self) -> int:
        """The number of images in it, at any depth."""
        return len(self.images) + sum(folder.count for folder in self.folders.values())

    def walk(self) -> Iterator[Parts]:
        """The parts of every image in it, at any depth, in no particular order."""
        yield from ((*self.parts, name) for name in self.images)
        for folder in self.folders.values():
            yield from folder.walk()


@dataclass
class _Builder:
    """A tree that grows, and what is left out of it."""

    parts: Parts
    folders: dict[str, _Builder] = field(default_factory=dict)
    images: list[str] = field(default_factory=list)

    def below(self, name: str) -> _Builder:
        if name not in self.folders:
            self.folders[name] = _Builder((*self.parts, name))
        return self.folders[name]

    def finished(self) -> Folder:
        folders = {name: self.folders[name].finished() for name in sorted(self.folders)}
        return Folder(self.parts, folders, tuple(sorted(self.images)))


@dataclass
class _Tally:
    """Counts of what is left out, by reason."""

    hidden: int = 0
    dangling: int = 0
    special: int = 0
    seen_folders: int = 0
    links: int = 0
    other: int = 0
    unreadable: int = 0
    suffixes: set[str] = field(default_factory=set)

    def left_out(self) -> tuple[LeftOut, ...]:
        suffixes = ", ".join(sorted(self.suffixes)[:SHOWN_SUFFIXES])
        suffixes += ", ..." if len(self.suffixes) > SHOWN_SUFFIXES else ""
        reasons = (
            (self.hidden, "hidden files and folders", "their names start with a dot, or are __MACOSX"),
            (self.dangling, "links", "their targets do not exist"),
            (self.seen_folders, "links to folders", "those folders are already read, or contain this dataset"),
            (self.links, "links in the archive", ""),
            (self.special, "pipes, devices and the like", ""),
            (self.unreadable, "images in formats that this Pillow cannot read", ""),
            (self.other, "other files", f"their suffixes are not those of images ({suffixes})"),
        )
        return tuple(LeftOut(count=count, what=what, why=why) for count, what, why in reasons if count)


@dataclass(frozen=True)
class ImageTree:
    """The images below a folder or in an archive.

    Attributes:
        root: the outermost folder.
        left_out: files that are not read, and why.
    """

    root: Folder
    left_out: tuple[LeftOut, ...]


def tree_of_folder(path: Path) -> ImageTree:
    """Look through a folder. Links to folders are followed once; no file is opened.

    Args:
        path: the folder.

    Raises:
        UserError: a folder in it cannot be listed, or they are nested too deeply.
    """
    top, tally = _Builder(()), _Tally()
    seen = {_identity(folder) for folder in (path, *path.resolve().parents)}
    waiting = [(path, top)]
    links: list[tuple[Path, str, _Builder]] = []
    while waiting or links:
        if waiting:
            _list(*waiting.pop(), waiting, links, seen, tally)
            continue
        # What is a link comes last, so that a folder goes by its own name where it has one.
        links.sort(key=lambda link: link[0].parts, reverse=True)
        target, name, parent = links.pop()
        if _identity(target) in seen:
            tally.seen_folders += 1
        else:
            seen.add(_identity(target))
            waiting.append((target, parent.below(name)))
    return ImageTree(top.finished(), tally.left_out())


def _list(
    path: Path,
    builder: _Builder,
    waiting: list[tuple[Path, _Builder]],
    links: list[tuple[Path, str, _Builder]],
    seen: set[tuple[int, int]],
    tally: _Tally,
) -> None:
    """Add the entries of one folder to the tree; the folders in it wait for their turn."""
    if len(builder.parts) > DEEPEST:
        raise UserError(
            f"folders are nested more than {DEEPEST} deep at {path}", "name the folder that holds the classes"
        )
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if _is_hidden(entry.name):
                    tally.hidden += 1
                    continue
                kind = _kind(entry)
                if kind == "dangling":
                    tally.dangling += 1
                elif kind == "file":
                    _add_file(entry.name, builder, tally)
                elif kind == "special":
                    tally.special += 1
                elif entry.is_symlink():
                    links.append((path / entry.name, entry.name, builder))
                else:
                    seen.add(_identity(path / entry.name))
                    waiting.append((path / entry.name, builder.below(entry.name)))
    except OSError as error:
        raise cannot_read(path, error) from error


def _is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is none of the dataset's; archives made by macOS have a ``__MACOSX``."""
    return name.startswith(".") or name == "__MACOSX"


def _kind(entry: os.DirEntry[str]) -> Literal["folder", "file", "special", "dangling"]:
    """What an entry of a folder is, or what the link leads to."""
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return "file"
        return "special" if not entry.is_symlink() or Path(entry.path).exists() else "dangling"
    except OSError:  # links that lead to each other
        return "dangling"


def tree_of_archive(path: Path) -> ImageTree:
    """Look through a zip archive.

    Args:
        path: the archive.

    Raises:
        UserError: it is damaged, or a name would lead out of it.
    """
    top, tally = _Builder(()), _Tally()
    for member in list_members(path):
        *folders, name = member.parts
        if len(folders) > DEEPEST:
            raise UserError(
                f"folders are nested more than {DEEPEST} deep in {path}", "pack only the folder that holds the classes"
            )
        if member.is_link:
            tally.links += 1
        elif any(map(_is_hidden, member.parts)):
            tally.hidden += 1
        else:
            builder = top
            for folder in folders:
                builder = builder.below(folder)
            _add_file(name, builder, tally)
    return ImageTree(top.finished(), tally.left_out())


def _add_file(name: str, builder: _Builder, tally: _Tally) -> None:
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122
    if suffix in readable_suffixes():
        builder.images.append(name)
    elif any(suffix in suffixes for suffixes in FORMATS.values()):
        tally.unreadable += 1
    else:
        tally.other += 1
        tally.suffixes.add(suffix or "none")


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
