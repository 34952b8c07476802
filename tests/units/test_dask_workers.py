"""Dask: a real scheduler with two workers; what becomes of units when one of them, or all, are killed."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any, cast

import pytest

from potstill.runtime.compute import CPU
from potstill.runtime.errors import UserError
from potstill.units import UnitLog, dask_workers, runner_by
from potstill.units.worker import check_code, code_sha256
from tests.children import child
from tests.units.toys import Square, job, workplace

pytest.importorskip("distributed")
pytestmark = pytest.mark.slow

WORKER = ("-m", "distributed.cli.dask_worker", "--nthreads", "1", "--no-nanny", "--no-dashboard")


@dataclass
class Cluster:
    """A scheduler and its workers.

    Attributes:
        scheduler: its process.
        file: its scheduler file.
        workers: their processes.
        address: its address.
    """

    scheduler: Popen[str]
    file: Path
    workers: list[Popen[str]]

    @property
    def address(self) -> str:
        """Of the scheduler, without its protocol."""
        return json.loads(self.file.read_text())["address"].removeprefix("tcp://")


@contextmanager
def cluster(folder: Path, workers: int) -> Iterator[Cluster]:
    """A scheduler and workers on this machine, which find the tests' units."""
    file = folder / "scheduler.json"
    place = ("--host", "127.0.0.1")
    with ExitStack() as processes, (folder / "output.txt").open("w") as stream:
        output = stream.fileno()
        started = [
            processes.enter_context(child(*words, "--scheduler-file", str(file), *place, stdout=output, stderr=output))
            for words in (
                ("-m", "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard"),
                *[(*WORKER, "--local-directory", str(folder))] * workers,
            )
        ]
        deadline = time.monotonic() + 60
        while (folder / "output.txt").read_text().count("Registered to:") < workers or not file.exists():
            assert time.monotonic() < deadline, (folder / "output.txt").read_text()
            time.sleep(0.1)
        yield Cluster(started[0], file, started[1:])


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster"), 2) as dask:
        yield dask


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POTSTILL_SHARED", str(tmp_path))
    return tmp_path


def test_workers_with_other_code_are_refused_by_name(dask: Cluster, shared: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dask_workers, "check_code", lambda worker, theirs, ours: check_code(worker, theirs, "other"))
    has_another = "has different Potstill code; install"
    named = pytest.raises(UserError, match=rf"the worker tcp://127\.0\.0\.1:\d+ {has_another}")
    with named, runner_by(f"dask:{dask.address}", workplace()):
        pass
    # One that comes later sees it by itself.
    monkeypatch.setattr("potstill.units.crew.code_sha256", lambda: "other")
    monkeypatch.setattr(dask_workers, "check_code", lambda *given: None)
    named = pytest.raises(UserError, match=rf"the worker \d+ on .* {has_another}")
    with named, runner_by(f"dask:{dask.address}", workplace()) as runner:
        list(runner.results([job(1)], 1))


def test_a_worker_that_is_killed_loses_no_unit_and_a_lost_scheduler_no_result(dask: Cluster, shared: Path):
    """The last test of the cluster, which it ends."""
    trace, record = shared / "trace", shared / "a.units.jsonl"
    jobs = [
        job(0, does="meet", trace=str(trace)),
        job(1, does="meet", trace=str(trace)),
        job(2, does="die once", trace=str(shared / "other")),
        job(3),
    ]
    with runner_by(f"dask:{dask.address}", workplace(), UnitLog(record)) as runner:
        found = {each.owner: result.value for each, result in runner.results(jobs, 4)}
    assert found == {0: 0, 1: 1, 2: 4, 3: 9}
    met = {int(line.split()[1]) for line in trace.read_text().splitlines()}
    assert met == {worker.pid for worker in dask.workers}
    assert [worker.poll() for worker in dask.workers].count(-signal.SIGKILL) == 1

    cannot = pytest.raises(UserError, match=r"^5 cannot be squared; take `number=2`$")
    with cannot, runner_by(f"dask:{dask.file}", workplace()) as runner:
        list(runner.results([job(5, does="fail")], 1))

    gone = pytest.raises(UserError, match=rf"^the Dask scheduler at {dask.address} has gone; start it again")
    with gone, runner_by(f"dask:{dask.address}", workplace(), UnitLog(record)) as runner:
        for each, _ in runner.results([job(6), job(7, does="sleep", trace=str(shared / "seven"))], 2):
            assert each.owner == 6
            dask.scheduler.kill()
    assert UnitLog(record).get(job(6).unit, CPU) == Square(value=36)
    assert [path.name for path in shared.iterdir() if path.name.startswith(".potstill")] == []


def test_a_worker_that_cannot_import_potstill_is_named_and_one_that_has_ended_is_left_out():
    class Client:
        def __init__(self, found: object) -> None:
            self.found = found

        def run(self, *_: object, on_error: str) -> dict[str, object]:
            return {"tcp://a:1": OSError("closed"), "tcp://b:2": self.found}

    dask_workers.check_workers(cast("Any", Client(code_sha256())))
    with pytest.raises(
        UserError, match=r"the worker tcp://b:2 cannot import Potstill: No module named 'potstill'; install"
    ):
        dask_workers.check_workers(cast("Any", Client(ModuleNotFoundError("No module named 'potstill'"))))


@pytest.mark.parametrize("address", ["127.0.0.1:9", "nobody.invalid:8786", "here:or:there"])
def test_an_address_where_nobody_listens_is_told_within_seconds(address: str, monkeypatch: pytest.MonkeyPatch):
    assert dask_workers.SECONDS <= 5
    monkeypatch.setattr(dask_workers, "SECONDS", 1)
    begun = time.monotonic()
    nobody = f"^no Dask scheduler answers at {re.escape(address)}; start one with: dask scheduler$"
    with pytest.raises(UserError, match=nobody), runner_by(f"dask:{address}", workplace()):
        pass
    assert time.monotonic() - begun < 10


def test_a_scheduler_file_that_is_not_there_is_told():
    with pytest.raises(UserError, match=r"no scheduler file absent\.json"), runner_by("dask:absent.json", workplace()):
        pass
