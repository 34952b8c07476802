"""``processes:N``: worker processes of one thread each, on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from potstill.runtime.compute import Compute
from potstill.runtime.errors import UserError
from potstill.runtime.interrupts import interrupts_ignored
from potstill.units.crew import Crew, WorkerLost, temporary_folder
from potstill.units.worker import begin_worker

CONTEXT = get_context("spawn")


@contextmanager
def processes(count: int) -> Iterator[Crew]:
    """Worker processes of one thread each, for the duration of the context.

    They end with the context, however it is left, and with this process, however it ends.

    Args:
        count: the number of processes.
    """
    watched, held = CONTEXT.Pipe(duplex=False)
    with temporary_folder(Path(gettempdir())) as folder:
        crew = _Processes(count, folder, watched)
        try:
            yield crew
        except BaseException:
            held.close()  # work in progress is abandoned
            raise
        finally:
            crew.end()
            held.close()
            watched.close()


class _Processes(Crew):
    """Processes, which are started again if one is killed: Python's pool gives up the units of all of them then.

    Args:
        count: the number of processes.
        folder: where sets and datasets are written for them.
        watched: the end of a pipe, by which they see that this process has ended.
    """

    remedy = "use fewer processes, or `executor=here`"
    loses_all = True

    def __init__(self, count: int, folder: Path, watched: Connection) -> None:
        self._watched, self._has_begun = watched, CONTEXT.Event()
        super().__init__(self._started(count), count, folder)

    def submit(self, unit: dict[str, Any], files: Mapping[str, Path], compute: Compute) -> Future[dict[str, Any]]:
        with interrupts_ignored():
            try:
                return self._handed_out(unit, files, compute)
            except BrokenExecutor:
                self.end()
                self._executor = self._started(self.size)
                return self._handed_out(unit, files, compute)

    def result(self, future: Future[dict[str, Any]]) -> dict[str, Any]:
        try:
            return future.result()
        except BrokenExecutor as error:
            if not self._has_begun.is_set():
                problem = (
                    "a worker process ended at once; a script must guard its entry point with if __name__ == '__main__'"
                )
                raise UserError(problem, self.remedy) from error
            raise WorkerLost("a worker process was killed, probably because memory ran out") from error

    def end(self) -> None:
        """End the processes; what is in progress is finished first, unless their pipe is closed."""
        self._executor.shutdown(cancel_futures=True)

    def _started(self, count: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(count, CONTEXT, begin_worker, (self._watched, self._has_begun))
