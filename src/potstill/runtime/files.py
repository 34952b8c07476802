"""Files that are complete or absent, whatever interrupts their writing; and the folders that the environment names.

Those that a user sets for Potstill are read here alone: ``POTSTILL_DATA``, ``POTSTILL_SHARED`` and ``XDG_CACHE_HOME``.
Variables of other programs are read where that program is dealt with: in ``machine`` and ``ranks`` those by which
torchrun tells a process its place, in ``doctor_of_pytorch`` whether ``OMP_NUM_THREADS`` is set. ``compilation`` and
``tracking.on_mlflow`` set defaults for PyTorch and MLflow, which read them, unless the user has set them.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from potstill.runtime.bounds import bytes_in_words
from potstill.runtime.errors import UserError
from potstill.runtime.lock import check_locks
from potstill.runtime.reading import FREE_SPACE, cannot_read, cannot_write, open_regular
from potstill.runtime.writer import Writer, remove_unfinished


def write_atomic(path: Path, content: bytes | str, *, durable: bool = True) -> None:
    """Write ``content`` to ``path`` so that a reader sees the old file or the new one, never part of one.

    The old file survives a full disk, a crash and a kill.

    Args:
        path: the file; its parent folders are created.
        content: bytes, or text to be encoded as UTF-8; what UTF-8 cannot encode is escaped as in JSON.
        durable: whether to wait for the disk, so that it also survives a power failure.

    Raises:
        UserError: the file cannot be written: there is no space or no permission, or a lock was lost.
    """
    check_locks()
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=Writer.here().unfinished_prefix, suffix=".tmp")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                if durable:
                    os.fsync(stream.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    except OSError as error:
        raise cannot_write(path, error, f"{FREE_SPACE}; what was complete is kept") from error


def check_writable(path: Path) -> None:
    """Check, before long work, that a file can be written.

    Raises:
        UserError: the path is a folder, or its parent folder is not writable.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise cannot_write(path, error) from error


def check_space(path: Path, what: str, needed: float, remedy: str) -> None:
    """Check that a disk has room.

    Args:
        path: of a file or folder that need not exist yet.
        what: what needs the room, with the verb, such as ``these experts need``.
        needed: the bytes.
        remedy: what to do if there is too little.

    Raises:
        UserError: there is too little.
    """
    disk = next(folder for folder in path.absolute().parents if folder.exists())
    if needed > (free := shutil.disk_usage(disk).free):
        raise UserError(
            f"{what} {bytes_in_words(needed)}, but the disk of {path} has {bytes_in_words(free)} free", remedy
        )


@contextlib.contextmanager
def staged(
    path: Path,
    *,
    keep: Callable[[], bool] = lambda: True,
    remedy: str = FREE_SPACE,
    elsewhere: str = "choose another folder",
) -> Iterator[Path]:
    """A temporary path for a file or folder that is moved to ``path`` if the context succeeds, and deleted if not.

    Args:
        path: where it will be.
        keep: asked in the end whether to move it there; if not, it is deleted.
        remedy: what to do if the disk is full.
        elsewhere: what to do if it cannot be written for another reason.

    Raises:
        UserError: it cannot be written, ``path`` is a folder that is not empty, or a lock was lost.
    """
    check_locks()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_unfinished(path.parent)
        with tempfile.TemporaryDirectory(
            dir=path.parent, prefix=Writer.here().unfinished_prefix, suffix=".tmp", ignore_cleanup_errors=True
        ) as outer:
            unfinished = Path(outer) / path.name
            yield unfinished
            check_locks()
            if keep():
                unfinished.replace(path)
    except OSError as error:
        raise cannot_write(path, error, remedy, elsewhere=elsewhere) from error


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Write ``value`` as indented JSON, atomically; ``durable`` as for ``write_atomic``."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", durable=durable)


def sha256_of_files(paths: Iterable[Path]) -> str:
    """A single SHA-256 of the contents of several files, in the given order.

    Raises:
        UserError: one of them cannot be read.
    """
    return sha256("".join(map(_sha256_of_file, paths)).encode())


def _sha256_of_file(path: Path) -> str:
    try:
        with open_regular(path) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise cannot_read(path, error) from error


def sha256(data: bytes) -> str:
    """The SHA-256 of ``data`` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def data_root() -> Path | None:
    """The folder of local dataset copies: ``POTSTILL_DATA``, if it is set."""
    named = os.environ.get("POTSTILL_DATA")
    return Path(os.path.expanduser(named)) if named else None  # noqa: PTH111 (a user without a home is no error)


def shared_root() -> Path:
    """The folder for what machines share: ``POTSTILL_SHARED``, or else the current directory."""
    return Path(os.environ.get("POTSTILL_SHARED") or ".")


def cache_folder(part: str) -> Path | None:
    """A folder in the user's cache, below ``XDG_CACHE_HOME`` or ``~/.cache``; None for a user without a home."""
    if named := os.environ.get("XDG_CACHE_HOME"):
        return Path(named) / "potstill" / part
    try:
        return Path.home() / ".cache" / "potstill" / part
    except RuntimeError:  # a container may run under a user id that has no name in it
        return None


def expanded(path: str | Path) -> Path:
    """A path whose leading ``~`` or ``~USER`` is replaced by that home directory.

    Raises:
        UserError: there is no such user, or this one has no home directory.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UserError(f"{path} is below a home directory that does not exist", "write the path in full") from error
