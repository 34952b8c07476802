"""Reading files that anyone may have written: regular files only, bounded in bytes, digits and depth.

Also the errors of the system while files are read or written, in words.
"""

from __future__ import annotations

import errno
import json
import math
import os
import stat
import tomllib
from collections.abc import Iterable, Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any, NoReturn

from potstill.runtime.errors import UserError

JSON_BYTES = 256 * 2**20
"""The largest JSON file that is read: the evaluation of seven networks on a thousand classes has 200 MB."""
TOML_BYTES = 2**20
"""The largest TOML file that is read: settings have some hundred bytes."""
JSON_DEPTH = 64
"""Objects and lists within each other; the deepest record has ten."""
JSON_DIGITS = 64
"""Digits of a whole number; the largest that is written, a seed, has 39."""
FREE_SPACE = "free some space or choose another `out`"
"""What to do where the disk is full."""
ELSEWHERE = "choose another `out`"
"""What to do where something cannot be written for another reason."""
FULL = (errno.ENOSPC, errno.EDQUOT)
REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)

KINDS: Mapping[int, str] = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NotRegular(OSError):
    """A path is not of a regular file: reading it could block forever, or act on a device."""


class TooLarge(OSError):
    """A file has more bytes than anything that is read here."""


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading; links are followed.

    A named pipe, a device, a socket or a folder is never opened, not even if it takes the place of the file meanwhile.

    Args:
        path: the file.

    Raises:
        NotRegular: it is not a regular file; the message says what it is.
        OSError: it is absent or may not be read.
    """
    try:
        _check_regular(path.stat().st_mode)
    except ValueError as error:  # a NUL, or half of a surrogate pair
        raise FileNotFoundError(errno.ENOENT, "no file can have such a name") from error
    flags = sum(getattr(os, name, 0) for name in ("O_RDONLY", "O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"))
    handle = os.open(path, flags)
    try:
        _check_regular(os.fstat(handle).st_mode)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: Path, limit: int) -> bytes:
    """The contents of a regular file.

    Args:
        path: the file.
        limit: the most bytes that it may have.

    Raises:
        TooLarge: it has more bytes.
        OSError: as for :func:`open_regular`.
    """
    with open_regular(path) as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise TooLarge(f"it has more than {limit:,} bytes")
    return content


def is_pickle(path: Path) -> bool:
    """Whether a file is a pickle or one of PyTorch's archives of pickles, judged by its first bytes alone."""
    try:
        with open_regular(path) as stream:
            start = stream.read(256)
    except OSError:
        return False
    plain = start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
    # A safetensors file begins with the length of its header, in eight bytes that may be 80 02 00 ...
    plain = plain and start[3:9] != b"\0\0\0\0\0{"
    return plain or (start.startswith(b"PK\x03\x04") and b"data.pkl" in start)


def cannot_read(path: Path, error: OSError, remedy: str = "check the path") -> UserError:
    """The error for a file that cannot be opened or read.

    Args:
        path: the file.
        error: the reason.
        remedy: what to do.
    """
    return UserError(f"cannot read {path}: {reason(error)}", remedy)


def cannot_write(path: Path, error: OSError, remedy: str = FREE_SPACE, *, elsewhere: str = ELSEWHERE) -> UserError:
    """The error for a file or folder that cannot be written, with a remedy that suits the reason.

    Args:
        path: the file or folder.
        error: the reason.
        remedy: what to do if the disk is full.
        elsewhere: what to do otherwise, to write in another place.
    """
    if error.errno in FULL:
        return UserError(f"cannot write {path}: {reason(error)}", remedy)
    if error.errno in REFUSED:
        return UserError(f"cannot write {path}: {reason(error)}", f"get the permission, or {elsewhere}")
    above = _nearest_above(path)
    why = reason(error) if above is None or above.is_dir() else f"{above} is not a folder"
    return UserError(f"cannot write {path}: {why}", elsewhere)


def _nearest_above(path: Path) -> Path | None:
    """The nearest folder or file above a path that exists; None if the system does not say."""
    try:
        return next((each for each in path.absolute().parents if each.exists()), None)
    except (OSError, ValueError):  # a name that is too long, a NUL, or a folder that may not be looked into
        return None


def reason(error: OSError) -> str:
    """Why the system refuses, without the number of the error and the path."""
    return error.strerror or str(error) or type(error).__name__


def parse_json(content: bytes | str, *, nonfinite: bool = False) -> Any:
    """The value in a JSON text, which anyone may have written.

    Args:
        content: the text; bytes are UTF-8.
        nonfinite: whether ``NaN``, ``Infinity`` and numbers beyond the range of floats are accepted.

    Raises:
        ValueError: it is not JSON, an object has a key twice, or it exceeds ``JSON_DEPTH`` or ``JSON_DIGITS``.
    """
    text = content if isinstance(content, str) else content.decode("utf-8")
    finite = {} if nonfinite else {"parse_float": _finite, "parse_constant": _refuse_constant}
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_int=_whole, **finite)
    except RecursionError:
        raise ValueError(f"it is nested more than {JSON_DEPTH} levels deep") from None
    _check_depth(value)
    return value


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: the file is absent, damaged, or not a regular file.
    """
    try:
        return parse_json(read_regular(path, JSON_BYTES))
    except OSError as error:
        raise cannot_read(path, error) from error
    except ValueError as error:
        raise UserError(
            f"{path} is not valid JSON: {error}", "the file is damaged: restore it or create it again"
        ) from error


def read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """The text of a TOML file, and the values in it.

    Raises:
        UserError: the file is absent, damaged, or not a regular file.
    """
    try:
        text = read_regular(path, TOML_BYTES).decode("utf-8")
        values = tomllib.loads(text)
        _check_digits(values)
        return text, values
    except OSError as error:
        raise cannot_read(path, error) from error
    except RecursionError:
        problem = "it is nested too deeply"
    except ValueError as error:  # this includes the errors of UTF-8 and of numbers with thousands of digits
        problem = str(error)
    raise UserError(f"{path} is not valid TOML: {problem}", "correct it there")


def _check_digits(value: Any) -> None:
    """Refuse whole numbers that JSON would refuse, because settings are recorded as JSON."""
    if isinstance(value, int) and abs(value) >= 10**JSON_DIGITS:
        raise ValueError(f"a whole number has more than {JSON_DIGITS} digits")
    for part in _parts(value):
        _check_digits(part)


def _check_regular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise NotRegular(f"it is {KINDS.get(stat.S_IFMT(mode), 'something else')}, not a regular file")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise ValueError(f"the key {twice!r} appears twice in one object")
    return made


def _whole(digits: str) -> int:
    if len(digits) > JSON_DIGITS:
        raise ValueError(f"a whole number has {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError("a number is larger than any float")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(JSON_DEPTH):
        level = [part for whole in level for part in _parts(whole) if isinstance(part, dict | list)]
        if not level:
            return
    raise ValueError(f"it is nested more than {JSON_DEPTH} levels deep")


def _parts(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
