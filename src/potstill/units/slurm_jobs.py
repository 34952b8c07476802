"""``slurm:PARTITION``: every unit is a job of Slurm, submitted by submitit, whose jobs are no futures of Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any, TypeVar

from potstill.runtime.errors import UserError
from potstill.units.crew import Crew, WorkerLost, shared_folder

if TYPE_CHECKING:
    import submitit

R = TypeVar("R")

JOBS = 16
"""Jobs at once, unless the executor's name says otherwise."""
MINUTES = 240
"""The time limit of a job, unless ``SBATCH_TIMELIMIT`` is set: Slurm heeds it, and the other variables of sbatch."""
POLL_SECONDS = 1.0


@contextmanager
def slurm_jobs(where: str) -> Iterator[Crew]:
    """Jobs of one core each in a partition, for the time of the context; those that are not done by then are cancelled.

    Args:
        where: the partition, and perhaps the number of jobs at once after a colon.

    Raises:
        UserError: submitit is not installed, or this machine submits no jobs.
    """
    partition, _, jobs = where.partition(":")
    with shared_folder() as folder:
        executor = SlurmJobs(partition, folder.absolute() / "jobs")
        try:
            yield _SlurmCrew(executor, int(jobs or JOBS), folder)
        finally:
            executor.shutdown(wait=False, cancel_futures=True)


class SlurmJobs(Executor):
    """An executor each of whose calls is a job of Slurm.

    Args:
        partition: of Slurm.
        folder: for what jobs are given, return and print; the nodes see it. It need not exist.

    Raises:
        UserError: submitit is not installed, or this machine submits no jobs.
    """

    def __init__(self, partition: str, folder: Path) -> None:
        try:
            import submitit  # optional
        except ImportError as error:
            raise UserError("`executor=slurm` needs the package submitit", "pip install 'potstill[slurm]'") from error
        try:
            self._submitting = submitit.SlurmExecutor(folder)
        except RuntimeError as error:
            raise UserError("this machine has no srun", "start the command where jobs are submitted") from error
        self._submitting.update_parameters(partition=partition, time=MINUTES, cpus_per_task=1, job_name="potstill")
        self._pending: dict[Future[Any], submitit.Job[Any]] = {}
        self._lock, self._ended = Lock(), Event()
        Thread(target=self._watch, daemon=True).start()

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        """Submit a call.

        Raises:
            UserError: Slurm refuses it.
        """
        from submitit.core.utils import FailedJobError

        try:
            job = self._submitting.submit(_answer, fn, args, kwargs)
        except FailedJobError as error:
            raise UserError(f"Slurm refuses the job: {_last_line(str(error))}", "name another partition") from error
        future: Future[R] = Future()
        future.set_running_or_notify_cancel()
        with self._lock:
            self._pending[future] = job
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more calls; cancel the jobs that are not done, or wait for them."""
        with self._lock:
            pending = dict(self._pending)
        if cancel_futures:
            for job in pending.values():
                job.cancel(check=False)
        elif wait:
            for future in pending:
                future.exception()
        self._ended.set()

    def _watch(self) -> None:
        """Complete futures when their jobs are done."""
        while not self._ended.wait(POLL_SECONDS):
            with self._lock:
                pending = dict(self._pending)
            for future, job in pending.items():
                if job.done():
                    _complete(future, job)
                    with self._lock:
                        del self._pending[future]


def _complete(future: Future[Any], job: submitit.Job[Any]) -> None:
    """Hand over what a job has returned or raised."""
    from submitit.core.utils import FailedJobError, UncompletedJobError

    try:
        returned, raised = job.result()
    except FailedJobError as error:
        problem = f"job {job.job_id} of Slurm failed: {_last_line(str(error))}"
        returned, raised = None, UserError(problem, f"see {job.paths.stderr}")
    except UncompletedJobError:
        returned, raised = None, WorkerLost(f"job {job.job_id} of Slurm ended without a result ({job.state})")
    except Exception as error:  # whatever goes wrong must reach whoever waits
        returned, raised = None, error
    if raised is None:
        future.set_result(returned)
    else:
        future.set_exception(raised)


def _answer(fn: Callable[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[R | None, UserError | None]:
    """What a call returns or refuses: of an exception, submitit would only return the text."""
    try:
        return fn(*args, **kwargs), None
    except UserError as error:
        return None, error


def _last_line(text: str) -> str:
    """The last line of what went wrong, which submitit puts between two lines of dashes."""
    _, _, framed = text.partition("----\n")
    return (framed.partition("\n----")[0] or text).strip().splitlines()[-1]


class _SlurmCrew(Crew):
    """Jobs, whose limits are Slurm's."""

    remedy = "raise SBATCH_TIMELIMIT or SBATCH_MEM_PER_NODE if that is why; see `sacct`"
