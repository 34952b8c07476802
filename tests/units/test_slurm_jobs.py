"""Slurm: the real submitit, with stand-ins for Slurm's own programs that keep jobs in a folder."""

from __future__ import annotations

import os
import signal
import stat
import sys
import time
from pathlib import Path
from threading import Thread

import pytest

from potstill.runtime.errors import UserError
from potstill.units import runner_by
from tests.children import ROOT
from tests.units.toys import job, workplace

pytest.importorskip("submitit")
pytestmark = pytest.mark.slow

PROGRAMS = {
    "sbatch": """
        if grep -q -- '--partition=absent' "$1"; then echo 'sbatch: error: invalid partition specified' >&2; exit 1; fi
        number=$(ls "$JOBS" | wc -l); echo RUNNING > "$JOBS/$number"; cp "$1" "$JOBS.script"
        SLURM_JOB_ID=$number setsid bash -c 'bash "$0"
            [ $? = 0 ] && state=COMPLETED || state=FAILED
            grep -q CANCELLED "$JOBS/$SLURM_JOB_ID" || echo $state > "$JOBS/$SLURM_JOB_ID"' "$1" > /dev/null 2>&1 &
        echo $! > "$JOBS.$number.pid"
        echo "Submitted batch job $number"
    """,
    "srun": """
        while [ "${1:0:2}" = -- ]; do
            case $1 in --output) out=$2; shift 2;; --error) err=$2; shift 2;; *) shift;; esac
        done
        name() { echo "$1" | sed "s/%j/$SLURM_JOB_ID/; s/%t/0/"; }
        SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NTASKS=1 SLURM_NODEID=0 "$@" > $(name "$out") 2> $(name "$err")
    """,
    "sacct": """
        if [ "$1" = --noheader ]; then exit 0; fi
        echo 'JobID|State|NodeList'
        for file in "$JOBS"/*; do echo "$(basename "$file")|$(cat "$file")|here"; done
    """,
    "scancel": """
        end() { echo CANCELLED > "$JOBS/$1"; kill -9 -- -$(cat "$JOBS.$1.pid"); }
        if [ "${1:0:7}" != --name= ]; then end "$1"; exit; fi
        grep -q -- "--job-name=${1#--name=}$" "$JOBS.script" || exit 1
        for job in $(grep -l RUNNING "$JOBS"/*); do end "$(basename "$job")"; done
    """,
}


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with a file of each job, which holds its state."""
    from submitit.core.core import Job
    from submitit.slurm.slurm import SlurmJob

    monkeypatch.setattr(Job, "_results_timeout_s", 0.1)  # how long it waits for the file system
    monkeypatch.setattr("potstill.units.slurm_jobs.POLL_SECONDS", 0.1)
    programs, jobs = tmp_path / "programs", tmp_path / "jobs"
    for folder in (programs, jobs):
        folder.mkdir()
    for name, script in PROGRAMS.items():
        (programs / name).write_text(f"#!/usr/bin/env bash\n{script}")
        (programs / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("JOBS", str(jobs))
    monkeypatch.setenv("POTSTILL_SHARED", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))
    SlurmJob.watcher.clear()  # jobs of another test have the same numbers
    return jobs


def test_units_are_jobs_and_one_that_ends_without_a_result_is_submitted_again(jobs: Path, tmp_path: Path):
    messages: list[str] = []
    trace = tmp_path / "trace"
    with runner_by("slurm:cpu,long:2", workplace(messages)) as runner:
        asked = [job(2), job(3, does="die once", trace=str(trace))]
        found = {each.owner: result.value for each, result in runner.results(asked, 2)}
    assert found == {2: 4, 3: 9}
    assert len(list(jobs.iterdir())) == 3
    assert any(message.startswith("job ") and "the square of 3 begins again" in message for message in messages)
    script = Path(f"{jobs}.script").read_text()
    assert "#SBATCH --partition=cpu,long\n" in script
    assert "#SBATCH --time=240\n" in script
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".potstill")] == []


def test_what_a_unit_refuses_is_said_and_jobs_that_are_not_done_are_cancelled(jobs: Path, tmp_path: Path):
    trace = tmp_path / "trace"
    cannot = pytest.raises(UserError, match=r"^5 cannot be squared; take `number=2`$")
    with cannot, runner_by("slurm:cpu", workplace()) as runner:
        list(runner.results([job(6, does="sleep", trace=str(trace)), job(5, does="fail")], 2))
    deadline = time.monotonic() + 20
    while "CANCELLED" not in [state.read_text().strip() for state in jobs.iterdir()]:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_job_whose_time_is_nearly_up_is_not_put_into_the_queue_again(jobs: Path, tmp_path: Path):
    """Slurm warns it with a signal, at which submitit would ask for the same job again and again."""
    trace = tmp_path / "trace"
    with runner_by("slurm:cpu", workplace()) as runner:
        results = runner.results([job(3, does="nap", trace=str(trace))], 1)
        Thread(target=_warn, args=(trace,), daemon=True).start()
        assert [result.value for _, result in results] == [9]
    assert len(list(jobs.iterdir())) == 1


def _warn(trace: Path) -> None:
    while not trace.exists() or not trace.read_text().endswith("\n"):
        time.sleep(0.05)
    os.kill(int(trace.read_text().split()[1]), signal.SIGUSR2)


@pytest.mark.parametrize("state", ["SUSPENDED", "PREEMPTED"])
def test_a_job_that_is_taken_for_lost_is_cancelled(state: str, jobs: Path, tmp_path: Path):
    trace = tmp_path / "trace"

    def hold() -> None:
        while not trace.exists():
            time.sleep(0.05)
        (jobs / "0").write_text(state)

    Thread(target=hold, daemon=True).start()
    with runner_by("slurm:cpu", workplace()) as runner:
        results = runner.results([job(3, does="sleep once", trace=str(trace))], 1)
        assert [result.value for _, result in results] == [9]
    assert (jobs / "0").read_text().strip() == "CANCELLED"


def test_accounts_that_slurm_does_not_keep_are_told(jobs: Path, tmp_path: Path):
    (tmp_path / "programs" / "sacct").write_text("#!/bin/sh\necho 'Slurm accounting storage is disabled' >&2; exit 1")
    told = pytest.raises(UserError, match=r"^sacct does not answer here: Slurm accounting storage is disabled; start")
    with told, runner_by("slurm:cpu", workplace()):
        pass


def test_a_partition_that_slurm_refuses_is_told(jobs: Path):
    told = pytest.raises(UserError, match=r"^Slurm refuses the job: sbatch: error: invalid partition specified; name")
    with told, runner_by("slurm:absent", workplace()) as runner:
        list(runner.results([job(1)], 1))


def test_a_machine_that_submits_no_jobs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("POTSTILL_SHARED", str(tmp_path))
    with pytest.raises(UserError, match=r"^this machine has no srun"), runner_by("slurm:cpu", workplace()):
        pass
