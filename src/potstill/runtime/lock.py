"""Locks: whatever is being written has one writer, and others can see who it is."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from potstill.runtime.errors import UserError
from potstill.runtime.interrupts import Interrupts
from potstill.runtime.reading import cannot_read, cannot_write, parse_json, read_regular
from potstill.runtime.text import visible
from potstill.runtime.writer import Writer, host_name, remove_unfinished

LOCK_BYTES = 2**20
EMPTY_SECONDS = 1.0
"""How long a lock may be empty: it is filled right after it is made, unless its maker was killed in between."""

_FACTS = {"pid": int, "host": str, "since": str, "machine": str, "life": str}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Lock:
    """A lock that this process holds.

    Attributes:
        target: what is locked.
        path: the file that says so.
        content: the contents of that file.
    """

    target: Path
    path: Path
    content: bytes

    def check(self) -> None:
        """Make sure, before something is written, that ``target`` is still there and still ours.

        Raises:
            UserError: it was deleted, moved or taken over.
        """
        if _content(self.path) != self.content:
            raise UserError(
                f"{self.target} was deleted, moved or taken over while it was being written",
                "this process has stopped writing; start again, or resume it where it is now",
            )


_held: ContextVar[tuple[Lock, ...]] = ContextVar("held", default=())
"""The locks that this thread works under."""


def check_locks() -> None:
    """Make sure, before anything is written, that every lock is still ours that this thread works under.

    Whatever writes files asks this first, so that no work goes on in the place of another process.

    Raises:
        UserError: what is locked was deleted, moved or taken over.
    """
    for lock in _held.get():
        lock.check()


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Within this context no other process writes ``target``.

    The lock is a file with the writer's process number, host and start: ``.lock`` in a folder, ``.NAME.lock`` beside a
    file. All that it needs of the file system is that one of two processes fails to create the same file. A lock whose
    writer has ended is taken over, with a warning to the log, and files that were left unfinished are removed. Ctrl-C
    waits while the lock is taken and while it is released, so that none is left behind.

    Args:
        target: a folder that exists, or a file that need not exist.

    Raises:
        UserError: another process writes ``target``, or it is not known whether it still does; or the lock cannot be
            written.
    """
    with Interrupts() as interrupts:
        interrupts.hold()
        try:
            path = target / ".lock" if target.is_dir() else target.with_name(f".{target.name}.lock")
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = _taken(target, path)
        except OSError as error:
            raise cannot_write(target, error) from error
        try:
            _held.set((*_held.get(), lock))
            for folder in (path.parent, *(target.iterdir() if target.is_dir() else ())):
                if folder.is_dir() and not folder.is_symlink():
                    remove_unfinished(folder)
            interrupts.release()
            yield
        finally:
            interrupts.hold()
            _held.set(tuple(held for held in _held.get() if held is not lock))
            with suppress(OSError, UserError):  # a failure here must not hide the error that ended the work
                if _content(path) == lock.content:
                    path.unlink()


def _taken(target: Path, path: Path) -> Lock:
    """The lock, once it is ours."""
    content = _description()
    while not _created(path, content):
        theirs = _settled_content(path)
        if theirs is None:
            continue  # released in the meantime
        _check_ended(theirs, target, path)
        # Two may see that it has ended. Only the holder of the claim may replace the lock.
        claim = _taken(target, path.with_name(f"{path.name}~"))
        try:
            if _content(path) == theirs:
                claim.path.replace(path)
                writer = f"process {_facts(theirs)['pid']}" if theirs else "a process"
                _log.warning(
                    "%s: %s ended while it was writing here; this process takes its place", visible(str(target)), writer
                )
                return Lock(target, path, claim.content)
        finally:
            claim.path.unlink(missing_ok=True)
    return Lock(target, path, content)


def _created(path: Path, content: bytes) -> bool:
    """Whether the file did not exist and does now."""
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    try:
        os.write(handle, content)
    except OSError:
        path.unlink()
        raise
    finally:
        os.close(handle)
    return True


def _check_ended(theirs: bytes, target: Path, path: Path) -> None:
    """Make sure that the writer of a lock has ended.

    Raises:
        UserError: it has not, or that is not known.
    """
    if not theirs:
        return
    facts = _facts(theirs)
    who = f"process {facts['pid']} on {facts['host']}" if facts else "an unknown process"
    state = Writer(facts["pid"], facts["machine"], facts["life"]).state() if facts else "unknown"
    if state == "running":
        raise UserError(f"{target} has been in use by {who} since {facts['since']}", "wait for it, or stop it first")
    if state == "unknown":
        raise UserError(
            f"{target} is locked by {who}, and whether that is still running cannot be seen from here",
            f"if it has ended, delete {path}",
        )


def _description() -> bytes:
    """What a lock of this process contains."""
    facts = {"pid": os.getpid(), "host": host_name(), "since": datetime.now(UTC).isoformat()}
    writer = Writer.here()
    return json.dumps({**facts, "machine": writer.machine, "life": writer.life}).encode() + b"\n"


def _facts(content: bytes) -> dict[str, Any]:
    """The facts in a lock; empty if it is not one of ours."""
    try:
        facts = parse_json(content)
        known = {name: kind(facts[name]) for name, kind in _FACTS.items()}
    except (ValueError, KeyError, TypeError):
        return {}
    return known if known == facts else {}


def _settled_content(path: Path) -> bytes | None:
    """The contents of a lock, once they are written; None if there is no lock."""
    deadline = time.monotonic() + EMPTY_SECONDS
    while not (content := _content(path)) and content is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    return content


def _content(path: Path) -> bytes | None:
    try:
        return read_regular(path, LOCK_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise cannot_read(path, error, "remove it if nothing is writing there") from error
