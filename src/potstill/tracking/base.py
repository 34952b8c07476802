"""The interface of trackers, which record the numbers, pictures, tables and outcome of a run."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from importlib import import_module
from pathlib import Path
from ssl import SSLError
from typing import Any, ClassVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import numpy as np

from potstill.runtime.errors import UserError, in_one_line

Value = str | int | float | bool
Cell = str | int | float | None

PROJECT = "potstill"
"""The project or experiment that runs belong to, unless the user names another."""
REACH_SECONDS = 10.0

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
QUERY = re.compile(r"(?<=[\w/])[?#][\w.-]+=\S*")
HIDDEN = "..."


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """What a tracker is told about a run before anything else.

    Attributes:
        folder: the folder of the run, in which the tracker may keep files.
        name: what people call the run: the name of the folder.
        config: the settings by name; those of the method as ``method.NAME``.
        earlier: what ``open`` returned when this run was last tracked; None if it was not.
        killed: whether the session before ended without closing the tracker.
        iteration: the iteration after which the run goes on; None if no run goes on, and only something is added.
    """

    folder: Path
    name: str
    config: Mapping[str, Value]
    earlier: str | None = None
    killed: bool = False
    iteration: int | None = None


@dataclass(kw_only=True)
class Tracker(ABC):
    """A program that collects runs. Its fields are options, texts that the user may give as ``NAME:option=value``.

    Whatever a method raises after ``check`` is reported once, and the run goes on without the tracker.
    """

    package: ClassVar[str]
    """The package that is imported."""
    install: ClassVar[str]
    """What ``pip install`` takes to install it."""

    reached: int | None = field(init=False, repr=False, default=None)
    """What ``open`` sets if a run goes on and the tracker lacks some of what it was told: the iteration up to which it
    has everything. What comes after that it is told again, from the record. None: it has all that it was told."""

    library: Any = field(init=False, repr=False, default=None)
    """The imported package, from ``check`` on."""

    def check(self) -> None:
        """Make sure, before anything runs, that the tracker can be used.

        Raises:
            UserError: its package is absent or broken, or what it sends to cannot be reached.
        """
        self.library = imported(self.package, self.install)

    def where(self) -> Mapping[str, str]:
        """What holds its runs, such as a server and a project, by name; without secrets.

        A run that was tracked elsewhere is told from its record, as one that is tracked for the first time. A part that
        is empty is as before.
        """
        return {}

    @abstractmethod
    def open(self, run: TrackedRun) -> str:
        """Begin to track a run, or continue.

        Returns:
            What finds the run in this tracker again, for ``TrackedRun.earlier``: a name or number, without slashes.
        """

    @abstractmethod
    def scalars(self, values: Mapping[str, float], iteration: int) -> None:
        """Take numbers by name, such as ``loss``."""

    @abstractmethod
    def picture(self, name: str, pixels: np.ndarray, iteration: int) -> None:
        """Take a picture, uint8 (H, W, 3)."""

    @abstractmethod
    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]], iteration: int) -> None:
        """Take a table; None is a cell without a value."""

    @abstractmethod
    def outcome(self, values: Mapping[str, Value]) -> None:
        """Take what a session has led to, by name."""

    @abstractmethod
    def close(self, *, complete: bool) -> None:
        """Finish: nothing more will come in this session.

        Args:
            complete: whether the run is at its end.
        """


def imported(package: str, install: str) -> Any:
    """Import the package of a tracker.

    Args:
        package: its name.
        install: what ``pip install`` takes to install it.

    Raises:
        UserError: it is absent or broken.
    """
    try:
        library = import_module(package)
    except ModuleNotFoundError as error:
        if error.name == package.partition(".")[0]:
            raise _not_installed(package, install) from error
        raise _broken(package, error) from error
    except (Exception, SystemExit) as error:  # a broken package may raise anything
        raise _broken(package, error) from error
    origin = getattr(getattr(library, "__spec__", None), "origin", None)  # what is built in has one, but no file
    if getattr(library, "__file__", None) is None and origin is None:  # a folder that a tracker has left behind
        raise _not_installed(package, install)
    return library


def check_reachable(tracker: str, address: str, remedy: str) -> None:
    """Make sure that a server answers, whatever it answers; proxies of the environment are used.

    Args:
        tracker: whose server it is, for the message.
        address: of the server; names, passwords and tokens in it are neither sent nor shown.
        remedy: what to do if it does not answer.

    Raises:
        UserError: it does not.
    """
    shown = without_secrets(address)
    try:
        urlopen(shown, timeout=REACH_SECONDS).close()
    except (HTTPError, HTTPException):
        return  # it has answered
    except (OSError, ValueError) as error:
        cause = error.reason if isinstance(error, URLError) and isinstance(error.reason, Exception) else error
        if isinstance(cause, SSLError):
            return  # whom to trust is the tracker's own business
        raise UserError(f"{tracker} cannot reach {shown} ({reason(cause)})", remedy) from error


def without_secrets(address: str) -> str:
    """Scheme, host, port and path of an address: names, passwords and tokens are left out.

    Of an address that can be read in two ways, such as ``http://me:a/b@host``, only the scheme is left.
    """
    scheme = address.partition("://")[0]
    try:
        parts = urlsplit(address)
        host = parts.netloc.rpartition("@")[2]
        _ = parts.port  # a text in its place may be part of a password
    except ValueError:
        return f"{scheme}://{HIDDEN}"
    if parts.netloc and "@" in address.partition("://")[2].removeprefix(parts.netloc):
        return f"{scheme}://{HIDDEN}"
    return f"{scheme}://{host}{parts.path}"


def redacted(text: str) -> str:
    """A text in which every address is without secrets, and every path without what is asked of it."""
    return QUERY.sub("", ADDRESS.sub(lambda found: without_secrets(found[0]), text))


def reason(error: BaseException) -> str:
    """What an error says, in one line and without secrets."""
    return redacted(in_one_line(error)) if isinstance(error, Exception) else "it ends the program"


def _not_installed(package: str, install: str) -> UserError:
    return UserError(f"the tracker {package} is not installed", f"pip install {install}")


def _broken(package: str, error: BaseException) -> UserError:
    return UserError(
        f"the tracker {package} is installed but cannot be imported ({reason(error)})",
        f"pip install --force-reinstall {package}",
    )
