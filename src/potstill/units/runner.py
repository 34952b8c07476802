"""The runner: does units wherever there is room for them, and records each result as it ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from potstill.runtime.errors import UserError
from potstill.runtime.parallel import cpu_workers
from potstill.runtime.progress import QUIET_SECONDS, Pace, Progress
from potstill.schema.fields import Fields
from potstill.units.crew import ON_RECORD, Crew, WorkerLost
from potstill.units.executors import Work, crew_by
from potstill.units.log import UnitLog
from potstill.units.unit import R, Unit, described
from potstill.units.workplace import Workplace

Owner = TypeVar("Owner")

ATTEMPTS = 3
"""How many workers a unit may lose: it may be the reason."""


@contextmanager
def runner_by(
    executor: str | Executor | Crew,
    workplace: Workplace,
    log: UnitLog | None = None,
    *,
    amount: Work = Work(),  # noqa: B008 (a frozen value)
) -> Iterator[Runner]:
    """A runner, for the time of the context.

    Args:
        executor: who does the units: a name such as ``here`` or ``processes:2``; or an executor of your own or a crew,
            which are at work already.
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
            UserError: a unit cannot be done, or its workers were killed again and again.
        """
        if self.crew is not None:
            hands: dict[Future[dict[str, Any]], _Asked[R, Owner]] = {}
            try:
                yield from self._by_crew(self.crew, iter(jobs), total, hands)
            finally:  # what is not wanted any more
                for future in hands:
                    future.cancel()
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

    def _by_crew(
        self,
        crew: Crew,
        jobs: Iterator[Job[R, Owner]],
        total: float,
        hands: dict[Future[dict[str, Any]], _Asked[R, Owner]],
    ) -> Iterator[tuple[Job[R, Owner], R]]:
        """The results by a crew; ``hands`` has what was handed out and has not ended."""
        again: deque[_Asked[R, Owner]] = deque()
        pace, done = Pace(), 0.0
        while True:
            while len(hands) < (1 if any(asked.alone for asked in (*again, *hands.values())) else crew.size):
                if again:
                    asked = again.popleft()
                    hands[self._submitted(crew, asked.unit)] = asked
                    continue
                if (job := self._drawn(jobs)) is None:
                    break
                same = next((each for each in hands.values() if each.unit.key == job.unit.key), None)
                if same is not None:
                    same.jobs.append(job)
                elif (known := self._known(job.unit)) is None:
                    hands[self._submitted(crew, job.unit)] = _Asked([job])
                else:
                    total -= job.weight
                    yield job, known
            if not hands:
                return
            wait(hands, QUIET_SECONDS, FIRST_COMPLETED)
            ended = [(future, hands.pop(future)) for future in [*hands] if future.done()]
            found, lost = self._collected(crew, ended)
            again.extend(self._tried_again(crew, asked, loss) for asked, loss in lost)
            for asked, result in found:
                done += asked.jobs[0].weight
                yield from ((job, result) for job in asked.jobs)
            if not ended and pace.due():
                titles = ", ".join(asked.title for asked in hands.values())
                left = pace.left(done, max(total, done)) if done else ""
                self.progress("; ".join(filter(None, (f"in progress: {titles}", left, crew.in_words))))

    def _collected(
        self, crew: Crew, ended: Sequence[tuple[Future[dict[str, Any]], _Asked[R, Owner]]]
    ) -> tuple[list[tuple[_Asked[R, Owner], R]], list[tuple[_Asked[R, Owner], WorkerLost]]]:
        """The results of units that have ended, and those that have lost their workers. All results are on record.

        Raises:
            UserError: a unit cannot be done, or no worker can do any.
        """
        found: list[tuple[_Asked[R, Owner], R]] = []
        lost: list[tuple[_Asked[R, Owner], WorkerLost]] = []
        failed: list[Exception] = []
        for future, asked in ended:  # in the order in which they began
            try:
                result = asked.unit.result_from(Fields(Path("the result of a worker"), crew.result(future)))
                found.append((asked, self._kept(asked.unit, result)))
            except WorkerLost as loss:
                lost.append((asked, loss))
            except Exception as error:  # raised once the others are on record
                failed.append(error)
        if failed:
            raise failed[0]
        return found, lost

    def _tried_again(self, crew: Crew, asked: _Asked[R, Owner], lost: WorkerLost) -> _Asked[R, Owner]:
        """A unit whose worker was lost, for another one: alone, if units of other workers can be the reason.

        Raises:
            UserError: it has lost too many that no other unit can have killed.
        """
        asked.losses += asked.alone or crew.size == 1 or not crew.loses_all
        asked.alone = crew.loses_all
        if asked.losses == ATTEMPTS:
            raise UserError(f"{lost}: {ATTEMPTS} times with {asked.title}", f"{crew.remedy}; {ON_RECORD}") from lost
        self.progress(f"{lost}; {asked.title} begins again")
        return asked

    def _drawn(self, jobs: Iterator[Job[R, Owner]]) -> Job[R, Owner] | None:
        """The next job. What it takes to prepare it is done as if it were done here."""
        with cpu_workers(self.workplace.compute.device):
            return next(jobs, None)

    def _submitted(self, crew: Crew, unit: Unit[Any]) -> Future[dict[str, Any]]:
        files = self.workplace.materials.kept_in(crew.folder)
        return crew.submit(described(unit), files, self.workplace.compute)

    def _kept(self, unit: Unit[R], result: R) -> R:
        if unit.is_final(result):
            self.log.add(unit, self.workplace.compute, result)
        return result


@dataclass
class _Asked(Generic[R, Owner]):
    """A unit that was handed out.

    Attributes:
        jobs: all that wait for it.
        losses: how many workers it has lost that no other unit can have killed.
        alone: whether no other unit is to be done at the same time.
    """

    jobs: list[Job[R, Owner]]
    losses: int = 0
    alone: bool = False

    @property
    def unit(self) -> Unit[R]:
        """The unit of all of the jobs."""
        return self.jobs[0].unit

    @property
    def title(self) -> str:
        """What it is, for messages."""
        return self.jobs[0].title
