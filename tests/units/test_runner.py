"""Runners: the same results here and by other processes; errors, deaths and interruptions of workers."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, cast

import pytest
import torch

from potstill.runtime.compute import CPU, Compute
from potstill.runtime.errors import UserError
from potstill.runtime.executor_choice import check_executor
from potstill.runtime.writer import Writer
from potstill.units import Crew, Runner, UnitLog, Work, crew_by, runner_by
from potstill.units.executors import settled
from potstill.units.processes import processes
from potstill.units.runner import Job
from tests.forks import forked
from tests.small import small_digits
from tests.units.toys import Square, job, workplace


def test_here_jobs_are_drawn_one_by_one_so_that_results_can_make_others_unnecessary():
    done: list[int] = []

    def until_large() -> Iterator[Job[Square, int]]:
        for number in range(10):
            if done and done[-1] > 5:
                return
            yield job(number)

    for _, result in Runner(workplace()).results(until_large(), 10):
        done.append(result.value)
    assert done == [0, 1, 4, 9]


def test_messages_of_a_unit_say_which_one_it_is():
    messages: list[str] = []
    list(Runner(workplace(messages)).results([job(3)], 1))
    assert messages == ["the square of 3: squaring"]


@pytest.mark.slow
def test_other_processes_do_the_same_and_each_unit_once(tmp_path: Path):
    trace, log = tmp_path / "trace", UnitLog(tmp_path / "a.units.jsonl")
    jobs = [job(n, trace=str(trace), does="meet") for n in range(6)]
    with runner_by("processes:2", workplace(), log) as runner:
        found = {each.owner: result.value for each, result in runner.results(jobs + jobs[:2] + jobs, 14)}
    assert found == {n: n * n for n in range(6)}
    workers = {line.split()[1] for line in trace.read_text().splitlines()}
    assert len(trace.read_text().splitlines()) == 6
    assert len(workers) == 2
    assert str(os.getpid()) not in workers
    assert all(not Path(f"/proc/{worker}").exists() for worker in workers), "they end with the context"
    again = UnitLog(tmp_path / "a.units.jsonl")
    assert all(again.get(each.unit, CPU) == Square(value=each.owner**2) for each in jobs)


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers")
def test_a_crew_that_is_at_work_serves_several_runners(tmp_path: Path):
    trace = tmp_path / "trace"
    with crew_by("processes:1", CPU.device, Work()) as crew:
        assert crew is not None
        for number in (2, 3):
            with runner_by(crew, workplace()) as runner:
                assert [result.value for _, result in runner.results([job(number, trace=str(trace))], 1)] == [number**2]
    assert len({line.split()[1] for line in trace.read_text().splitlines()}) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers")
def test_an_error_in_another_process_is_the_same_error():
    cannot = pytest.raises(UserError, match=r"^2 cannot be squared; take `number=2`$")
    with cannot, runner_by("processes:1", workplace()) as runner:
        list(runner.results([job(2, does="fail")], 1))


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers")
def test_a_unit_that_kills_its_workers_is_tried_again_then_named_and_what_was_done_is_kept(tmp_path: Path):
    log, trace, messages = UnitLog(tmp_path / "a.units.jsonl"), tmp_path / "trace", list[str]()
    fatal = "the square of 2"
    killed = pytest.raises(
        UserError, match=f"a worker process was killed, probably because memory ran out: 3 times with {fatal}; use"
    )
    with killed, runner_by("processes:1", workplace(messages), log) as runner:
        list(runner.results([job(1), job(2, does="die", trace=str(trace)), job(3)], 3))
    assert len({line.split()[1] for line in trace.read_text().splitlines()}) == 3
    assert [fatal in message for message in messages if "begins again" in message] == [True, True]
    assert UnitLog(tmp_path / "a.units.jsonl").get(job(1).unit, CPU) == Square(value=1)


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers")
def test_a_worker_that_is_killed_loses_no_unit(tmp_path: Path):
    """Nor does the other worker, which Python's pool ends with it."""
    traces = [tmp_path / f"trace{number}" for number in range(4)]
    jobs = [job(n, does="die once" if n == 2 else "nap", trace=str(trace)) for n, trace in enumerate(traces)]
    with runner_by("processes:2", workplace()) as runner:
        found = {each.owner: result.value for each, result in runner.results(jobs, 4)}
    assert found == {0: 0, 1: 1, 2: 4, 3: 9}
    assert len(traces[2].read_text().splitlines()) == 2


class BreakingPool(Executor):
    """As Python's pool of processes: when one is killed, all units in progress are lost, and it takes no more.

    Attributes:
        kills: the numbers of units that kill their process, once for each time that they are named.
        begun: the units of each time that some were done together.
    """

    kills: ClassVar[list[int]] = []
    begun: ClassVar[list[list[int]]] = []

    def __init__(self, count: int, *_: object) -> None:
        self.waiting: list[tuple[int, Future[Any]]] = []
        self.is_broken = False

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self.is_broken:
            raise BrokenExecutor
        future = self.Ending(self)
        self.waiting.append((args[0].unit["number"], future))
        return future

    class Ending(Future[Any]):
        """Asked whether it is done, it makes the pool do all its units."""

        def __init__(self, pool: BreakingPool) -> None:
            super().__init__()
            self.pool = pool

        def done(self) -> bool:
            self.pool.go()
            return super().done()

    def go(self) -> None:
        """Do what was handed out."""
        waiting, self.waiting = self.waiting, []
        if not waiting:
            return
        numbers = [number for number, _ in waiting]
        self.begun.append(numbers)
        fatal = next((number for number in numbers if number in self.kills), None)
        for number, future in waiting:
            if fatal is None:
                future.set_result({"value": number})
            else:
                future.set_exception(BrokenExecutor())
        if fatal is not None:
            self.is_broken = True
            self.kills.remove(fatal)


def test_units_that_were_lost_with_another_are_done_alone_and_only_the_fatal_one_is_blamed(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("potstill.units.processes.ProcessPoolExecutor", BreakingPool)
    monkeypatch.setattr("potstill.units.runner.wait", lambda *given: None)
    monkeypatch.setattr("potstill.units.processes.CONTEXT", Begun())
    monkeypatch.setattr(BreakingPool, "kills", [2, 4, 6])
    monkeypatch.setattr(BreakingPool, "begun", [])
    with runner_by("processes:2", workplace()) as runner:
        found = sorted(each.owner for each, _ in runner.results([job(n) for n in range(1, 7)], 6))
    assert found == [1, 2, 3, 4, 5, 6]
    assert BreakingPool.begun == [[1, 2], [1], [2], [3, 4], [3], [4], [5, 6], [5], [6]]
    monkeypatch.setattr(BreakingPool, "kills", [2] * 9)
    with (
        runner_by("processes:2", workplace()) as runner,
        pytest.raises(UserError, match=r"3 times with the square of 2"),
    ):
        list(runner.results([job(n) for n in range(1, 7)], 6))
    assert len(BreakingPool.kills) == 5, "once beside another, and three times alone"


class Begun:
    """Stands for the ways in which processes are started; they have begun."""

    def Event(self) -> Any:
        """Set from the beginning."""
        event = threading.Event()
        event.set()
        return event

    def Pipe(self, duplex: bool) -> Any:
        """A real one."""
        return multiprocessing.Pipe(duplex)


@pytest.mark.slow
def test_relative_paths_mean_to_a_worker_what_they_mean_here(
    crew: Crew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Whatever directory the worker was started in."""
    with runner_by(crew, workplace()) as runner:
        list(runner.results([job(2)], 1))  # by now it is started
        monkeypatch.chdir(tmp_path)
        list(runner.results([job(3, trace="trace")], 1))
    assert (tmp_path / "trace").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers")
def test_a_worker_that_is_killed_in_its_first_unit_is_no_unguarded_script(tmp_path: Path):
    with runner_by("processes:1", workplace()) as runner:
        ((_, result),) = runner.results([job(2, does="die once", trace=str(tmp_path / "trace"))], 1)
    assert result.value == 4


def test_results_that_came_with_a_failure_are_on_record(tmp_path: Path):
    log = UnitLog(tmp_path / "a.units.jsonl")
    jobs = [job(1, does="fail"), job(2), job(3)]
    with ThreadPoolExecutor(1) as executor:
        runner = Runner(workplace(), log, Together(executor, 3, tmp_path))
        with pytest.raises(UserError, match="1 cannot be squared"):
            list(runner.results(jobs, 3))
    assert [log.get(each.unit, CPU) is not None for each in jobs] == [False, True, True]


class Together(Crew):
    """A crew all of whose units have ended when it is asked for the first."""

    given: ClassVar[list[Future[Any]]] = []

    def submit(self, unit: dict[str, Any], files: Mapping[str, Path], compute: Compute) -> Future[dict[str, Any]]:
        self.given.append(super().submit(unit, files, compute))
        if len(self.given) == self.size:
            wait(self.given)
        return self.given[-1]


def test_what_is_not_wanted_any_more_does_not_begin(tmp_path: Path):
    traces = [tmp_path / f"trace{n}" for n in range(4)]
    with ThreadPoolExecutor(1) as executor:
        results = Runner(workplace(), crew=Crew(executor, 4, tmp_path)).results(
            [job(n, does="nap" if n else "nothing", trace=str(trace)) for n, trace in enumerate(traces)], 4
        )
        next(results)
        cast("Any", results).close()
    assert not traces[3].exists()


def test_an_executor_of_ones_own_does_units_and_sees_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    there = workplace()
    key = there.materials.add(small_digits())
    with ThreadPoolExecutor(2) as executor, runner_by(executor, there) as runner:
        assert runner.crew is not None
        assert runner.crew.size == 2
        assert [result.value for _, result in runner.results([job(3, trace="trace")], 1)] == [9]
        assert (tmp_path / "trace").exists()
        assert [path.name for path in runner.crew.folder.iterdir()] == [f"{key}.safetensors"]
        (runner.crew.folder / f"{key}.safetensors").unlink()
        with pytest.raises(UserError, match=r"the worker \d+ on .* cannot see .*safetensors; start the command in a"):
            list(runner.results([job(4)], 1))
    assert [path.name for path in tmp_path.iterdir()] == ["trace"]


SLEEPER = """
from tests.units.toys import job, workplace
from potstill.units import runner_by
if __name__ == "__main__":
    with runner_by("processes:2", workplace()) as runner:
        list(runner.results([job(n, does="sleep", trace={trace!r}) for n in range(2)], 2))
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
def test_workers_end_at_once_with_the_process_that_started_them(number: signal.Signals, tmp_path: Path):
    trace = tmp_path / "trace"
    with forked("-c", SLEEPER.format(trace=str(trace)), folder=tmp_path / "said") as process:
        workers = _workers(trace, 2)
        os.kill(process.pid, number)
        process.wait(20)
        deadline = time.monotonic() + 20
        while any(_runs(worker) for worker in workers) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(_runs(worker) for worker in workers)


def _workers(trace: Path, count: int) -> list[int]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        lines = trace.read_text().splitlines() if trace.exists() else []
        if len(lines) == count:
            return [int(line.split()[1]) for line in lines]
        time.sleep(0.05)
    raise AssertionError("the workers did not begin")


def _runs(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    "name",
    [
        *("there", "", "here:2", "auto:2", "processes2"),
        *("processes:0", "processes:-1", "processes:two", "processes", "processes:99999"),
        *("dask", "dask:", "dask:here and there", "slurm:", "slurm:gpu:0", "slurm:gpu:many", "slurm:a b"),
    ],
)
def test_an_unknown_executor_is_refused(name: str):
    with pytest.raises(UserError, match=r"unknown executor|does not name"):
        check_executor(name)


@pytest.mark.parametrize(
    "name", ["here", "auto", "processes:12", "dask:10.0.0.1:8786", "dask:scheduler.json", "slurm:a-b,c", "slurm:gpu:8"]
)
def test_a_known_executor_is_not(name: str):
    check_executor(name)


def test_auto_takes_processes_for_long_work_on_a_cpu_with_several_cores(monkeypatch: pytest.MonkeyPatch):
    from potstill.units import executors

    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    monkeypatch.setattr(executors, "core_count", lambda: 4)
    long = Work(executors.PROCESSES_PIXELS, executors.PROCESSES_PIXELS / 4)
    assert settled("auto", cpu, long) == "processes:4"
    assert settled("auto", cpu, Work(executors.PROCESSES_PIXELS - 1)) == "here"
    assert settled("auto", cpu, Work(long.total, long.total / 3)) == "here", "the others would wait for the longest"
    assert settled("auto", cuda, Work()) == "here"
    assert settled("here", cpu, Work()) == "here"
    assert settled("processes:3", cuda, Work(0)) == "processes:3"
    monkeypatch.setattr(executors, "core_count", lambda: 1)
    assert settled("auto", cpu, Work()) == "here"


@pytest.mark.slow
@pytest.mark.usefixtures("forked_workers")
def test_a_long_wait_says_what_is_in_progress_and_how_long_the_rest_takes(monkeypatch: pytest.MonkeyPatch):
    from potstill.runtime import progress
    from potstill.units import runner as module

    monkeypatch.setattr(module, "QUIET_SECONDS", 0.2)
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.1)
    messages: list[str] = []
    jobs = [job(1), replace(job(2, does="nap"), weight=3.0)]
    with runner_by("processes:1", workplace(messages)) as runner:
        list(runner.results(jobs, 4.0))
    waiting = [message for message in messages if message.startswith("in progress: the square of 2; ")]
    assert waiting
    assert waiting[0].endswith(" left")


def test_jobs_are_prepared_as_if_they_were_done_here():
    """What a selection trains to prepare a job has the same bits in any mode and on any number of cores."""
    threads: list[int] = []

    def prepared() -> Iterator[Job[Square, int]]:
        threads.append(torch.get_num_threads())
        yield job(3)

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        list(Runner(workplace()).results(prepared(), 1))
        with ThreadPoolExecutor(1) as executor, TemporaryDirectory() as folder:
            crew = Crew(executor, 1, Path(folder))
            list(Runner(workplace(), crew=crew).results(prepared(), 1))
    finally:
        torch.set_num_threads(before)
    assert threads == [1, 1]


def test_what_killed_processes_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ended = replace(Writer.here(), pid=2**22 + 1)
    left = tmp_path / f"{ended.unfinished_prefix}abc.tmp"
    left.mkdir()
    with processes(1) as crew:
        assert not left.exists()
        assert crew.folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []
