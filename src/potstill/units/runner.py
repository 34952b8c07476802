"""The runner: does units wherever there is room for them, and records each result as it ends."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from potstill.runtime.errors import UserError
from potstill.runtime.parallel import cpu_workers
from potstill.runtime.progress import QUIET_SECONDS, Pace, Progress
from potstill.schema.fields import Fields
from potstill.units.executors import Crew, crew_by
from potstill.units.log import UnitLog
from potstill.units.unit import R, Unit, described
from potstill.units.worker import work
from potstill.units.workplace import Workplace

Owner = TypeVar("Owner")


@contextmanager
def runner_by(
    executor: str | Crew, workplace: Workplace, log: UnitLog | None = None, *, pixels: float = math.inf
) -> Iterator[Runner]:
    """A runner, for the time of the context.

    Args:
        executor: who does the units: ``here``, ``processes:N``, ``auto``, or a crew that is at work already.
        workplace: provides what units name; its device is that of all units.
        log: the results on record; None keeps results in memory.
        pixels: the amount of work, by which ``auto`` decides.

    Raises:
        UserError: there is no such executor.
    """
    with crew_by(executor, workplace.compute.device, pixels) as crew:
        yield Runner(workplace, log, crew)


@dataclass(frozen=True)
class Job(Generic[R, Owner]):
    """A unit that someone waits for.

    Attributes:
        unit: the unit.
        title: what it is, for messages.
        owner: what the result is for; the runner only hands it back.
    """

    unit: Unit[R]
    title: str
    owner: Owner


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

    def results(self, jobs: Iterable[Job[R, Owner]], total: int) -> Iterator[tuple[Job[R, Owner], R]]:
        """Do the units of jobs.

        Jobs are drawn one by one, when there is room for another; so an iterator may leave out what has become
        unnecessary by then. Without a crew the results come in the order of the jobs.

        Args:
            jobs: the jobs.
            total: about how many there are, for messages.

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
                known = self.log.get(job.unit)
                yield job, self._done_here(job) if known is None else known

    def _done_here(self, job: Job[R, Owner]) -> R:
        progress = self.progress

        def about_it(message: str) -> None:
            progress(f"{job.title}: {message}")

        return self._kept(job.unit, job.unit.run(replace(self.workplace, progress=about_it)))

    def _by_crew(self, crew: Crew, jobs: Iterator[Job[R, Owner]], total: int) -> Iterator[tuple[Job[R, Owner], R]]:
        hands: dict[Future[dict[str, Any]], list[Job[R, Owner]]] = {}
        pace, ended = Pace(), 0
        while True:
            while len(hands) < crew.size and (job := next(jobs, None)) is not None:
                same = next((others for others in hands.values() if others[0].unit.key == job.unit.key), None)
                if same is not None:
                    same.append(job)
                elif (known := self.log.get(job.unit)) is None:
                    hands[self._submitted(crew, job.unit)] = [job]
                else:
                    total -= 1
                    yield job, known
            if not hands:
                return
            done, _ = wait(hands, QUIET_SECONDS, FIRST_COMPLETED)
            for future in [each for each in hands if each in done]:  # in the order in which they began
                equal, ended = hands.pop(future), ended + 1
                result = self._kept(equal[0].unit, _result(equal[0].unit, future))
                yield from ((job, result) for job in equal)
            if not done and pace.due():
                left = f", {pace.left(ended, max(total, ended))}" if ended else ""
                self.progress(f"{ended} of {max(total, ended)} done, {len(hands)} in progress{left}")

    def _submitted(self, crew: Crew, unit: Unit[Any]) -> Future[dict[str, Any]]:
        files = self.workplace.materials.kept_in(crew.folder)
        try:
            return crew.executor.submit(work, described(unit), files, self.workplace.compute)
        except BrokenExecutor as error:
            raise _KILLED from error

    def _kept(self, unit: Unit[R], result: R) -> R:
        if unit.is_final(result):
            self.log.add(unit, result)
        return result


def _result(unit: Unit[R], future: Future[dict[str, Any]]) -> R:
    try:
        return unit.result_from(Fields(Path("the result of a worker"), future.result()))
    except BrokenExecutor as error:
        raise _KILLED from error


_KILLED = UserError(
    "a worker process was killed, probably because memory ran out",
    "use fewer processes, or `executor=here`; what was done is on record",
)
