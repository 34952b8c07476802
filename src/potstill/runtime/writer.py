"""The process that writes a file, and whether it is still running: locks and unfinished files are judged by it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_MARK = re.compile(r"\.potstill-([0-9a-f]{8})-(\d+)-([0-9a-f]+-\d+)-\w+\.tmp")


@dataclass(frozen=True)
class Writer:
    """A process that writes.

    Attributes:
        pid: its number, which the system uses again after its end.
        machine: where that number means something: a hash of the machine and of its space of process numbers, because
            containers of one machine have spaces of their own.
        life: what distinguishes it from other processes with its number: the start of the machine and of the process.
    """

    pid: int
    machine: str
    life: str

    @classmethod
    def here(cls) -> Writer:
        """This process."""
        pid = os.getpid()
        return cls(pid, _machine(), _life(pid) or "0-0")

    @classmethod
    def of_unfinished(cls, name: str) -> Writer | None:
        """The process that left a file or folder called ``name`` unfinished; None if it is not such a name."""
        match = _MARK.fullmatch(name)
        return None if match is None else cls(int(match[2]), match[1], match[3])

    @property
    def unfinished_prefix(self) -> str:
        """What the names of unfinished files begin with; they end with ``.tmp``."""
        return f".potstill-{self.machine}-{self.pid}-{self.life}-"

    def state(self) -> Literal["running", "ended", "unknown"]:
        """Whether the process is still running; for another machine this is not known."""
        if self == Writer.here():
            return "running"
        if self.machine != _machine() or sys.platform == "win32":  # where signal 0 is Ctrl-C, not a test
            return "unknown"
        try:
            os.kill(self.pid, 0)
        except PermissionError:
            pass  # another user's
        except (ProcessLookupError, OverflowError):
            return "ended"
        life = _life(self.pid)
        return "running" if life in (self.life, None) else "ended"


def remove_unfinished(folder: Path) -> None:
    """Remove from a folder what processes of this machine left unfinished when they ended.

    Files of other processes and of other programs stay.
    """
    with suppress(OSError):
        for path in folder.iterdir():
            writer = Writer.of_unfinished(path.name)
            if writer is None or writer.state() != "ended":
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def host_name() -> str:
    """The name of this machine, for people."""
    return socket.gethostname() or "localhost"


def _machine() -> str:
    facts = [host_name(), _text("/etc/machine-id")]
    try:
        facts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        facts.append("")
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:8]


def _life(pid: int) -> str | None:
    """The start of the machine and of a process; None if the system does not say."""
    # The name of the program, in parentheses, may contain anything.
    facts = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if len(facts) < 20:
        return None
    if facts[0] in "ZX":
        return "ended"  # only its parent has not noticed yet
    return f"{_text('/proc/sys/kernel/random/boot_id')[:8] or '0'}-{facts[19]}"


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return ""
