"""The runner: does units wherever there is room for them, and records each result as it ends."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any, Generic, TypeVar

from potstill.runtime.errors import UserError
from potstill.runtime.parallel import cpu_workers
from potstill.runtime.progress import QUIET_SECONDS, Pace, Progress
from potstill.schema.fields import Fields
from potstill.units.executors import Crew, Work, crew_by
from potstill.units.log import UnitLog
from potstill.units.unit import R, Unit, described
from potstill.units.worker import work
from potstill.units.workplace import Workplace

Owner = TypeVar("Owner")


@contextmanager
def runner_by(
    executor: str | Crew,
    workplace: Workplace,
    log: UnitLog | None = None,
    *,
    amount: Work = Work(),  # noqa: B008 (a frozen value)
) -> Iterator[Runner]:
    """A runner, for the time of the context.

    Args:
        executor: who does the units: ``here``, ``processes:N``, ``auto``, or a crew that is at work already.
        workplace: provides what units name; its device is that of all units.
        log: the results on record; None keeps results in memory.
        amount: the amount of work, by which ``auto`` decides.

    Raises:
        UserError: there is no such executor.
    """
    with crew_by(executor, workplace.compute.device, amount) as crew:
        yield Runner(workplace, log, crew)


@dataclass(frozen=True)
class Job(Generic[R, Owner]):
    """A unit that someone waits for.

    Attributes:
        unit: the unit.
        title: what it is, for messages.
        owner: what the result is for; the runner only hands it back.
        weight: the amount of work, in any measure that all jobs share.
    """

    unit: Unit[R]
    title: str
    owner: Owner
    weight: float = 1.0


class Runner:
    """Does units, here or by a crew, and never one whose result is on record.

    Args:
        workplace: provides what units name; its device is that of all units.
        log: the results on record, to which new ones are added.
        crew: who does the units; None does them in this process, one after the other.
    """

    def __init__(self, workplace: Workplace, log: UnitLog | None = None, crew: Crew | None = None) -> None:
        self.workplace, self.crew = workplace, crew
        self.log = UnitLog() if log is None else log

    @property
    def progress(self) -> Progress:
        """Takes messages."""
        return self.workplace.progress

    def results(self, jobs: Iterable[Job[R, Owner]], total: float) -> Iterator[tuple[Job[R, Owner], R]]:
        """Do the units of jobs.

        Jobs are drawn one by one, when there is room for another; so an iterator may leave out what has become
        unnecessary by then. Without a crew the results come in the order of the jobs.

        Args:
            jobs: the jobs.
            total: about how much all of them weigh, to estimate the time left.

        Yields:
            Each job with its result, as it ends.

        Raises:
            UserError: a unit cannot be done, or a worker was killed.
        """
        if self.crew is not None:
            yield from self._by_crew(self.crew, iter(jobs), total)
            return
        with cpu_workers(self.workplace.compute.device):
            for job in jobs:
                known = self._known(job.unit)
                yield job, self._done_here(job) if known is None else known

    def _known(self, unit: Unit[R]) -> R | None:
        return self.log.get(unit, self.workplace.compute)

    def _done_here(self, job: Job[R, Owner]) -> R:
        progress = self.progress

        def about_it(message: str) -> None:
            progress(f"{job.title}: {message}")

        return self._kept(job.unit, job.unit.run(replace(self.workplace, progress=about_it)))

    def _by_crew(self, crew: Crew, jobs: Iterator[Job[R, Owner]], total: float) -> Iterator[tuple[Job[R, Owner], R]]:
        hands: dict[Future[dict[str, Any]], list[Job[R, Owner]]] = {}
        pace, done = Pace(), 0.0
        while True:
            while len(hands) < crew.size and (job := self._drawn(jobs)) is not None:
                same = next((others for others in hands.values() if others[0].unit.key == job.unit.key), None)
                if same is not None:
                    same.append(job)
                elif (known := self._known(job.unit)) is None:
                    hands[self._submitted(crew, job.unit)] = [job]
                else:
                    total -= job.weight
                    yield job, known
            if not hands:
                return
            ended, _ = wait(hands, QUIET_SECONDS, FIRST_COMPLETED)
            for future in [each for each in hands if each in ended]:  # in the order in which they began
                equal = hands.pop(future)
                result = self._kept(equal[0].unit, _result(crew, equal[0].unit, future))
                done += equal[0].weight
                yield from ((job, result) for job in equal)
            if not ended and pace.due():
                left = f"; {pace.left(done, max(total, done))}" if done else ""
                self.progress(f"in progress: {', '.join(equal[0].title for equal in hands.values())}{left}")

    def _drawn(self, jobs: Iterator[Job[R, Owner]]) -> Job[R, Owner] | None:
        """The next job. What it takes to prepare it is done as if it were done here."""
        with cpu_workers(self.workplace.compute.device):
            return next(jobs, None)

    def _submitted(self, crew: Crew, unit: Unit[Any]) -> Future[dict[str, Any]]:
        files = self.workplace.materials.kept_in(crew.folder)
        try:
            with _unheard():
                return crew.executor.submit(work, described(unit), files, self.workplace.compute)
        except BrokenExecutor as error:
            raise _broken(crew) from error

    def _kept(self, unit: Unit[R], result: R) -> R:
        if unit.is_final(result):
            self.log.add(unit, self.workplace.compute, result)
        return result


@contextmanager
def _unheard() -> Iterator[None]:
    """Let no process that is started within this context hear Ctrl-C: the one that started it decides."""
    if current_thread() is not main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _result(crew: Crew, unit: Unit[R], future: Future[dict[str, Any]]) -> R:
    """The result that a worker has sent."""
    try:
        found = unit.result_from(Fields(Path("the result of a worker"), future.result()))
    except BrokenExecutor as error:
        raise _broken(crew) from error
    crew.has_worked.set()
    return found


def _broken(crew: Crew) -> UserError:
    """The error for a crew of which a process has ended."""
    if crew.has_worked.is_set():
        problem = "a worker process was killed, probably because memory ran out"
    else:
        problem = "a worker process ended at once; a script must guard its entry by if __name__ == '__main__'"
    return UserError(problem, "use fewer processes, or `executor=here`; what was done is on record")
