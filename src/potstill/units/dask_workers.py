"""``dask:ADDRESS``: the workers of a Dask scheduler, on any number of machines."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.runtime.compute import Compute
from potstill.runtime.errors import UserError
from potstill.units.crew import ON_RECORD, Crew, shared_folder
from potstill.units.worker import check_code, code_sha256

if TYPE_CHECKING:
    from distributed import Client

SECONDS = 5
"""How long a scheduler may take to answer."""


@contextmanager
def dask_workers(address: str) -> Iterator[Crew]:
    """The workers of a Dask scheduler, for the duration of the context. They and the scheduler go on after it.

    Args:
        address: such as ``127.0.0.1:8786`` or ``tls://10.0.0.1:8786``; or a scheduler file, which ends with ``.json``.

    Raises:
        UserError: ``distributed`` is not installed, no scheduler answers, or a worker has different Potstill code.
    """
    log = logging.getLogger("distributed")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with _connected(address) as client:
            check_workers(client)
            with shared_folder() as folder:
                yield _DaskWorkers(client, address, folder)
    finally:
        log.setLevel(level)


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    try:
        from distributed import Client  # optional
    except ImportError as error:
        raise UserError("`executor=dask` needs the package distributed", "pip install 'potstill[dask]'") from error
    is_file = address.endswith(".json")
    if is_file and not Path(address).is_file():
        raise UserError(f"there is no scheduler file {address}", "start one: dask scheduler --scheduler-file FILE.json")
    try:
        client = Client(
            None if is_file else address,
            scheduler_file=address if is_file else None,
            timeout=SECONDS,
            set_as_default=False,
            name="potstill",
        )
    except (OSError, ValueError, TypeError) as error:  # not there; not an address
        raise UserError(f"no Dask scheduler answers at {address}", "start one with: dask scheduler") from error
    try:
        yield client
    finally:
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # a lost scheduler has been noticed by now
        client.close(timeout=2)


def check_workers(client: Client) -> None:
    """Make sure that all workers compute what this program would. Those that come later see to it themselves.

    Args:
        client: of their scheduler.

    Raises:
        UserError: one has different Potstill code, or none.
    """
    codes: Any = client.run(code_sha256, on_error="return")
    for worker, found in codes.items():
        if isinstance(found, OSError):
            continue  # it has ended in the meantime
        if isinstance(found, BaseException):
            raise UserError(f"the worker {worker} cannot import Potstill: {found}", "install it there") from found
        check_code(f"the worker {worker}", found, code_sha256())


class _DaskWorkers(Crew):
    """The workers of a scheduler, which gives the unit of a worker that was killed to another one by itself.

    Args:
        client: of the scheduler.
        address: of the scheduler, for messages.
        folder: where sets and datasets are written: one that all workers see.
    """

    def __init__(self, client: Client, address: str, folder: Path) -> None:
        super().__init__(client.get_executor(pure=False), 1, folder)
        self._client, self._address = client, address

    @property
    def size(self) -> int:
        return max(1, self._workers)

    @property
    def in_words(self) -> str:
        return "" if self._workers else f"the scheduler {self._address} has no worker"

    def submit(self, unit: dict[str, Any], files: Mapping[str, Path], compute: Compute) -> Future[dict[str, Any]]:
        from distributed.client import ClosedClientError

        try:
            return self._handed_out(unit, files, compute)
        except ClosedClientError as error:
            raise self._gone() from error

    def result(self, future: Future[dict[str, Any]]) -> dict[str, Any]:
        from distributed import KilledWorker

        try:
            return future.result()
        except CancelledError as error:
            raise self._gone() from error
        except KilledWorker as error:
            raise UserError(
                f"several workers of {self._address} were killed by the same unit, probably because memory ran out",
                f"start workers with more memory; {ON_RECORD}",
            ) from error

    def _gone(self) -> UserError:
        problem = f"the Dask scheduler at {self._address} has gone"
        return UserError(problem, f"start it again with its workers; {ON_RECORD}")

    @property
    def _workers(self) -> int:
        """The number of worker processes: their threads do one unit after the other."""
        return len(self._client.scheduler_info(n_workers=-1).get("workers", ()))  # a client that has closed knows none
