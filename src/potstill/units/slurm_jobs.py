"""``slurm:PARTITION``: every unit is a job of Slurm, submitted by submitit, whose jobs are not futures of Python."""

from __future__ import annotations

import getpass
import logging
import signal
import subprocess
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
    """Jobs of one core each in a partition, for the duration of the context; those that are not done are cancelled.

    Args:
        where: the partition, and perhaps the number of jobs at once after a colon.

    Raises:
        UserError: submitit is not installed, or this machine submits no jobs.
    """
    partition, _, jobs = where.partition(":")
    log = logging.getLogger("submitit")
    level = log.level
    log.setLevel(logging.CRITICAL)  # its relevant messages are raised as errors
    try:
        with shared_folder() as folder:
            executor = _Jobs(partition, folder.absolute() / "jobs")
            try:
                yield _SlurmCrew(executor, int(jobs or JOBS), folder)
            finally:
                executor.shutdown()
    finally:
        log.setLevel(level)


class _SlurmCrew(Crew):
    """Jobs, whose limits are Slurm's."""

    remedy = "raise SBATCH_TIMELIMIT or SBATCH_MEM_PER_NODE if that is why; see sacct"


class _Jobs(Executor):
    """An executor each of whose calls is a job of Slurm.

    Args:
        partition: of Slurm.
        folder: for what jobs are given, return and print; the nodes see it. It need not exist.

    Raises:
        UserError: submitit is not installed, or this machine submits no jobs, or Slurm keeps no accounts of them.
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
        _check_accounts()
        self._name = f"potstill-{folder.parent.name.strip('.')}"
        self._submitting.update_parameters(partition=partition, time=MINUTES, cpus_per_task=1, job_name=self._name)
        self._pending: dict[Future[Any], submitit.Job[Any]] = {}
        self._lock, self._ended = Lock(), Event()
        Thread(target=self._watch, daemon=True).start()

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        """Submit a call.

        Args:
            fn: what to call.
            args: with which arguments.
            kwargs: and which named ones.

        Returns:
            What it will return.

        Raises:
            UserError: Slurm refuses it.
            RuntimeError: after ``shutdown``.
        """
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        if self._ended.is_set():
            raise RuntimeError("it was shut down")
        try:
            job = self._submitting.submit(_answer, fn, args, kwargs)
        except (FailedJobError, FailedSubmissionError) as error:
            problem = f"Slurm refuses the job: {_last_line(str(error)) or 'sbatch does not say why'}"
            raise UserError(problem, "name another partition, or ask for fewer jobs at once") from error
        future: Future[R] = Future()
        future.set_running_or_notify_cancel()
        with self._lock:
            self._pending[future] = job
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = True) -> None:
        """Accept no more calls, and cancel all jobs that are not done: also one that is just being submitted."""
        self._ended.set()
        cancel = ["scancel", f"--name={self._name}", f"--user={getpass.getuser()}"]
        subprocess.run(cancel, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _watch(self) -> None:
        """Complete futures when their jobs are done."""
        while not self._ended.wait(POLL_SECONDS):
            with self._lock:
                pending = dict(self._pending)
            for future, job in pending.items():
                try:
                    ended = _is_complete(future, job)
                except Exception as error:  # every error must reach the caller that waits
                    ended = True
                    future.set_exception(error)
                if ended:
                    with self._lock:
                        del self._pending[future]


def _is_complete(future: Future[Any], job: submitit.Job[Any]) -> bool:
    """Whether a job has ended; then its future has what it returned or raised."""
    from submitit.core.utils import FailedJobError, UncompletedJobError

    try:
        if not job.done():
            if job.watcher.get_state(job.job_id, mode="cache") != "PREEMPTED":
                return False
            raise UncompletedJobError
        returned, raised = job.result()
    except FailedJobError as error:
        returned, raised = None, UserError(f"job {job.job_id} of Slurm failed: {_last_line(str(error))}", "see sacct")
    except UncompletedJobError:
        job.cancel(check=False)  # suspended, perhaps: another job does its work
        said = _last_line(job.stderr() or "")
        about = f"{job.state}: {said}" if said else job.state
        returned, raised = None, WorkerLost(f"job {job.job_id} of Slurm ended without a result ({about})")
    if raised is None:
        future.set_result(returned)
    else:
        future.set_exception(raised)
    return True


def _check_accounts() -> None:
    """Make sure that Slurm answers what became of a job, or one that was killed would be waited for without end.

    Raises:
        UserError: it does not.
    """
    try:
        asked = subprocess.run(["sacct", "--noheader", "--starttime=now"], capture_output=True, text=True, check=False)
        said = asked.stderr if asked.returncode else ""
    except OSError as error:
        said = str(error)
    if said:
        raise UserError(f"sacct does not answer here: {_last_line(said)}", "start the command where it does")


def _answer(fn: Callable[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[R | None, UserError | None]:
    """What a call returns or refuses: of an exception, submitit would only return the text."""
    # Slurm's warning that time is nearly up: submitit would put the job into the queue again, for ever.
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    try:
        return fn(*args, **kwargs), None
    except UserError as error:
        return None, error


def _last_line(text: str) -> str:
    """The last line of what went wrong, which submitit puts between two lines of dashes."""
    _, _, framed = text.partition("----\n")
    lines = (framed.partition("\n----")[0] or text).strip().splitlines()
    return lines[-1].strip() if lines else ""
