"""Files that are either whole or absent, whatever interrupts their writing."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from potstill.runtime.errors import UserError


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write ``content`` to ``path`` so that a reader sees the old file or the new one, never a part.

    The old file survives a full disk, a crash and a kill.

    Raises:
        UserError: the file cannot be written (no space, no permission).
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}",
            "free some space or choose another --out; what was complete is kept",
        ) from error


def check_writable(path: Path) -> None:
    """Make sure, before long work, that a file can be written.

    Raises:
        UserError: it cannot: it is a folder, or its folder cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}", "choose another --out") from error


@contextlib.contextmanager
def staged(path: Path) -> Iterator[Path]:
    """A place to make a file or folder: it becomes ``path`` when the context ends well and vanishes if it does not.

    Raises:
        UserError: it cannot be made, or ``path`` already holds something.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.", ignore_cleanup_errors=True) as outer:
            unfinished = Path(outer) / path.name
            yield unfinished
            os.replace(unfinished, path)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}", "free some space or choose another --out"
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: the file is absent or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}", "check the path") from error
    except ValueError as error:
        raise UserError(
            f"{path} is not valid JSON: {error}", "the file is damaged: restore it or make it anew"
        ) from error


def sha256_of_files(paths: Iterable[Path]) -> str:
    """One SHA-256 for the contents of several files, in their order."""
    return sha256("".join(sha256(path.read_bytes()) for path in paths).encode())


def sha256(data: bytes) -> str:
    """The SHA-256 of ``data`` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
