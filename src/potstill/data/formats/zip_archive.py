"""The files in a zip archive, read in place: nothing is extracted."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from potstill.data.formats.bounds import check_size, opened
from potstill.runtime.errors import UserError, in_one_line

REMEDY = "unpack it, and give the folder as `dataset`"
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
LARGEST_MEMBER = 2**30  # bytes; no image has more


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    Attributes:
        parts: its folders and its name.
        is_link: whether it is a symbolic link, whose content is the path of another file.
    """

    parts: tuple[str, ...]
    is_link: bool


def list_members(path: Path) -> list[Member]:
    """The files of an archive, without its folders.

    Args:
        path: the archive.

    Raises:
        UserError: it is absent, damaged or encrypted, or a name would lead out of the archive.
    """
    with _opened(path) as archive:
        files = _files(archive, path)
        return [Member(parts, stat.S_ISLNK(info.external_attr >> 16)) for parts, info in files.items()]


def read_members(path: Path, wanted: Iterable[tuple[str, ...]]) -> Iterator[bytes]:
    """The contents of files in an archive, one after the other.

    Args:
        path: the archive.
        wanted: the parts of each file's path, as :func:`list_members` gives them.

    Raises:
        UserError: the archive is damaged, or a file is larger than its compressed content can be.
    """
    with _opened(path) as archive:
        infos = _files(archive, path)
        stored = os.fstat(archive.fp.fileno()).st_size if archive.fp is not None else 0
        for parts in wanted:
            yield _content(archive, infos[parts], f"{path}, {'/'.join(parts)}", stored)


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str, stored: int) -> bytes:
    if info.flag_bits & 1:
        raise UserError(f"{where} is encrypted", REMEDY)
    if info.compress_type not in METHODS:
        raise UserError(f"{where} is compressed in a way that is not read", REMEDY)
    check_size(info.file_size, min(info.compress_size, stored), where)
    if info.file_size > LARGEST_MEMBER:
        raise UserError(f"{where} has {info.file_size:,} bytes, too many for an image", REMEDY)
    try:
        with archive.open(info) as stream:
            return stream.read(info.file_size + 1)
    except Exception as error:  # zipfile raises nearly anything on a damaged archive
        raise UserError(f"cannot read {where}: {in_one_line(error)}", "replace the archive") from error


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    with opened(path, "replace it with an intact archive") as stream, zipfile.ZipFile(stream) as archive:
        yield archive


def _files(archive: zipfile.ZipFile, path: Path) -> dict[tuple[str, ...], zipfile.ZipInfo]:
    """The files by the parts of their paths; of several with one name the last, as when they are unpacked."""
    return {_parts(info, path): info for info in archive.infolist() if not info.is_dir()}


def _parts(info: zipfile.ZipInfo, path: Path) -> tuple[str, ...]:
    """The parts of a member's path; Windows separates them by backslashes."""
    parts = tuple(part for part in info.filename.replace("\\", "/").split("/") if part not in ("", "."))
    if not parts or ".." in parts or info.filename.startswith(("/", "\\")) or parts[0].endswith(":"):
        raise UserError(f"{path} has a file with the name {info.filename!r}, which points outside the archive", REMEDY)
    return parts
