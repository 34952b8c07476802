"""A crew: workers that do units of work for this process, in other processes or on other machines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from potstill.runtime.compute import Compute
from potstill.runtime.errors import UserError
from potstill.runtime.files import shared_root
from potstill.runtime.reading import cannot_write
from potstill.runtime.writer import Writer, remove_unfinished
from potstill.units.worker import Order, code_sha256, work

ON_RECORD = "what was done is on record"


class WorkerLost(Exception):
    """A unit has no result because its worker ended; another worker may do it."""


class Crew:
    """Workers behind any executor. They import Potstill, and see the files of a folder and the current directory.

    Args:
        executor: a ``concurrent.futures.Executor`` of processes or machines. It is not shut down here.
        size: the number of units to hand out at once.
        folder: where sets and datasets are written for the workers, as ``SHA256.safetensors``. In a folder of yours
            they stay.
    """

    remedy = "use fewer workers"
    """What helps if units lose their workers again and again."""

    loses_all = False
    """Whether a worker that is killed takes the units of all others with it."""

    def __init__(self, executor: Executor, size: int, folder: str | Path) -> None:
        self._executor, self._size = executor, size
        self.folder = Path(folder).absolute()

    @property
    def size(self) -> int:
        """The number of units to hand out at once."""
        return self._size

    @property
    def in_words(self) -> str:
        """What is worth knowing during a long wait, such as that there is no worker; otherwise empty."""
        return ""

    def submit(self, unit: dict[str, Any], files: Mapping[str, Path], compute: Compute) -> Future[dict[str, Any]]:
        """Hand out a unit.

        Args:
            unit: as ``described`` returns it.
            files: the sets and datasets that it may name.
            compute: device, precision and compilation.

        Returns:
            The result to come, as JSON values.

        Raises:
            UserError: the executor takes no more.
        """
        try:
            return self._handed_out(unit, files, compute)
        except RuntimeError as error:  # broken, or shut down
            raise UserError(f"the executor takes no more work: {error}", f"start it again; {ON_RECORD}") from error

    def result(self, future: Future[dict[str, Any]]) -> dict[str, Any]:
        """The result of a unit that has ended.

        Args:
            future: what ``submit`` has returned.

        Returns:
            The result, as JSON values.

        Raises:
            WorkerLost: its worker ended, and another one may do it.
            UserError: the unit cannot be done, or no worker can do it any more.
        """
        try:
            return future.result()
        except BrokenExecutor as error:
            problem = "a worker was killed, probably because memory ran out"
            raise UserError(problem, f"{self.remedy}; {ON_RECORD}") from error
        except CancelledError as error:
            raise UserError("the executor has given up the work", f"start it again; {ON_RECORD}") from error

    def _handed_out(self, unit: dict[str, Any], files: Mapping[str, Path], compute: Compute) -> Future[dict[str, Any]]:
        return self._executor.submit(work, Order(unit, files, compute, Path.cwd(), code_sha256()))


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """A new folder for files that workers read, for the duration of the context.

    What processes that were killed have left there is removed.

    Args:
        parent: where.

    Raises:
        UserError: nothing can be written there.
    """
    remove_unfinished(parent)
    try:
        made = TemporaryDirectory(
            dir=parent, prefix=Writer.here().unfinished_prefix, suffix=".tmp", ignore_cleanup_errors=True
        )
    except OSError as error:
        raise cannot_write(parent, error) from error
    with made as folder:
        yield Path(folder)


def shared_folder() -> AbstractContextManager[Path]:
    """A :func:`temporary_folder` that other machines see: in ``POTSTILL_SHARED``, or else in the current directory."""
    return temporary_folder(shared_root())
