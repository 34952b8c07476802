"""Which process wrote something, and whether it still runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from potstill.runtime import writer
from potstill.runtime.writer import Writer

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def ended() -> Writer:
    """A process that ran on this machine."""
    with subprocess.Popen(["true"]) as process:
        pass
    return replace(Writer.here(), pid=process.pid)


def test_this_process_runs_and_an_ended_one_does_not():
    assert Writer.here().state() == "running"
    assert ended().state() == "ended"


@linux
def test_another_process_with_the_same_number_is_another_process():
    before_the_restart, earlier = replace(Writer.here(), life="0-1"), Writer.here().life.replace("-", "-1")
    assert before_the_restart.state() == "ended"
    assert replace(Writer.here(), life=earlier).state() == "ended"


def test_of_another_machine_nothing_is_known():
    assert replace(Writer.here(), machine="0" * 8, pid=2**22).state() == "unknown"


@linux
def test_a_container_has_process_numbers_of_its_own(monkeypatch: pytest.MonkeyPatch):
    real = Path.readlink
    monkeypatch.setattr(Path, "readlink", lambda path: Path("pid:[1]") if path.name == "pid" else real(path))
    inside = Writer.here()
    monkeypatch.undo()
    assert inside.state() == "unknown"


@linux
def test_a_process_that_only_its_parent_has_not_noticed_has_ended():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    life = writer._life(process.pid)
    assert life is not None
    its = replace(Writer.here(), pid=process.pid, life=life)
    assert its.state() == "running"
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert its.state() == "ended"
    process.communicate()


def test_a_process_that_may_not_be_asked_runs(monkeypatch: pytest.MonkeyPatch):
    def refuse(pid: int, number: int) -> None:
        raise PermissionError

    its = replace(Writer.here(), pid=2**22 + 1)
    assert its.state() == "ended"
    monkeypatch.setattr(os, "kill", refuse)
    assert its.state() == "running"


def test_a_name_tells_who_left_a_file_unfinished():
    here = Writer.here()
    assert Writer.of_unfinished(f"{here.unfinished_prefix}x_7.tmp") == here
    for name in (".potstill-x.tmp", ".set.safetensors.abcd1234", f"{here.unfinished_prefix}x.tmp.txt", "set", ".lock"):
        assert Writer.of_unfinished(name) is None
