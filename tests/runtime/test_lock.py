"""What is written has one writer; what an ended one left is taken over, once and with a word."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from potstill.runtime import lock
from potstill.runtime.errors import UserError
from potstill.runtime.lock import check_locks, locked
from potstill.runtime.writer import Writer
from tests.runtime.test_writer import ended


def written_by(writer: Writer, path: Path, **others: Any) -> Path:
    """A lock that a process wrote."""
    facts = {"pid": writer.pid, "host": "box", "since": "2026-01-01", "machine": writer.machine, "life": writer.life}
    path.write_text(json.dumps(facts | others))
    return path


def test_a_second_writer_is_refused_and_a_later_one_is_not(tmp_path: Path):
    for target, name in ((tmp_path, ".lock"), (tmp_path / "a.json", ".a.json.lock")):
        for _ in range(2):
            with locked(target):
                check_locks()
                assert (tmp_path / name).exists()
                refusal = rf"process {os.getpid()} on .*wait for it"
                with pytest.raises(UserError, match=refusal) as refused, locked(target):
                    pass
                assert str(target) in refused.value.problem
                check_locks()
            assert list(tmp_path.iterdir()) == []


def test_two_files_of_a_folder_have_two_writers(tmp_path: Path):
    with locked(tmp_path / "new" / "a.json"), locked(tmp_path / "new" / "b.json"), locked(tmp_path / "new"):
        assert {path.name for path in (tmp_path / "new").iterdir()} == {".a.json.lock", ".b.json.lock", ".lock"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_lock_is_released_however_the_work_ends(error: type[BaseException], tmp_path: Path):
    with pytest.raises(error), locked(tmp_path):
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_was_replaced_does_not_hide_what_ended_the_work(tmp_path: Path):
    def work() -> None:
        with locked(tmp_path):
            (tmp_path / ".lock").unlink()
            (tmp_path / ".lock").mkdir()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()


def test_a_lock_of_an_ended_process_is_taken_over_with_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    gone = ended()
    written_by(gone, tmp_path / ".lock")
    with locked(tmp_path):
        check_locks()
        with pytest.raises(UserError, match=f"process {os.getpid()} "), locked(tmp_path):
            pass
    assert list(tmp_path.iterdir()) == []
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"process {gone.pid} " in record.getMessage()
    assert str(tmp_path) in record.getMessage()


def test_also_when_the_process_that_took_it_over_was_killed_on_the_way(tmp_path: Path):
    for name in (".lock", ".lock~", ".lock~~"):
        written_by(ended(), tmp_path / name)
    with locked(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("others", [{"machine": "0" * 8}, {"pid": "12"}, {"more": 1}])
def test_what_cannot_be_known_is_refused_with_the_remedy(others: dict[str, Any], tmp_path: Path):
    path = written_by(ended(), tmp_path / ".lock", **others)
    refusal = r"cannot be seen from here.*; if it has ended, delete .*\.lock"
    with pytest.raises(UserError, match=refusal), locked(tmp_path):
        pass
    path.write_text("[" * 100_000)
    with pytest.raises(UserError, match="an unknown process"), locked(tmp_path):
        pass


def test_a_lock_whose_maker_was_killed_before_it_was_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lock, "EMPTY_SECONDS", 0.05)
    (tmp_path / ".lock").touch()
    with locked(tmp_path):
        check_locks()


def test_a_lock_that_is_just_being_filled_is_waited_for(tmp_path: Path):
    (tmp_path / ".lock").touch()
    filled = threading.Timer(0.1, lambda: written_by(Writer.here(), tmp_path / ".lock"))
    filled.start()
    with pytest.raises(UserError, match="process"), locked(tmp_path):
        pass
    filled.join()


TAKES = """
import sys, time
from pathlib import Path
from potstill.runtime.lock import locked
from potstill.runtime.errors import UserError
print("ready", flush=True)
sys.stdin.readline()
try:
    with locked(Path(sys.argv[1])):
        print("mine", flush=True)
        sys.stdin.readline()
except UserError as error:
    print(error, flush=True)
"""


def test_of_many_that_find_an_ended_writer_one_takes_over(tmp_path: Path):
    for _ in range(3):
        written_by(ended(), tmp_path / ".lock")
        command = [sys.executable, "-c", TAKES, str(tmp_path)]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        processes = [subprocess.Popen(command, stderr=subprocess.DEVNULL, **pipes) for _ in range(4)]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        told = [process.stdout.readline() for process in processes if process.stdout is not None]
        assert told.count("mine\n") == 1
        for process in processes:
            process.communicate("\n")
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", ["deleted", "taken over"])
def test_a_writer_notices_that_its_folder_is_no_longer_its_own(change: str, tmp_path: Path):
    folder = tmp_path / "run"
    folder.mkdir()
    with locked(folder):
        (folder / ".lock").unlink()
        if change == "deleted":
            folder.rmdir()
        else:
            written_by(replace(Writer.here(), pid=1), folder / ".lock")
        with pytest.raises(UserError, match="was deleted, moved or taken over"):
            check_locks()
    assert (folder / ".lock").exists() == (change == "taken over")


def test_what_an_ended_process_left_unfinished_is_removed_and_nothing_else(tmp_path: Path):
    (tmp_path / "inner").mkdir()
    gone, stays = ended().unfinished_prefix, Writer.here().unfinished_prefix
    other = replace(Writer.here(), machine="0" * 8).unfinished_prefix
    for name in (f"{gone}a.tmp", f"inner/{gone}b.tmp", f"{stays}c.tmp", f"{other}d.tmp", ".set.abc", "e.tmp"):
        (tmp_path / name).touch()
    (tmp_path / f"{gone}folder.tmp" / "set").mkdir(parents=True)
    with locked(tmp_path):
        pass
    left = {path.name for path in tmp_path.rglob("*")}
    assert left == {"inner", f"{stays}c.tmp", f"{other}d.tmp", ".set.abc", "e.tmp"}


def test_where_nothing_can_be_written_it_is_said(tmp_path: Path):
    (tmp_path / "file").touch()
    refusal = r"cannot write .*a\.json: .*file is not a folder; choose another `out`"
    with pytest.raises(UserError, match=refusal), locked(tmp_path / "file" / "a.json"):
        pass
    with pytest.raises(UserError, match="File name too long"), locked(tmp_path / ("x" * 300)):
        pass


def test_a_pipe_in_the_place_of_a_lock_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / ".lock")
    with pytest.raises(UserError, match=r"\.lock: it is a named pipe.*; remove it"), locked(tmp_path):
        pass


@pytest.mark.parametrize("moment", ["taken", "released"])
def test_an_interrupt_leaves_no_lock_behind(moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Ctrl-C comes right after the file is made, or just before it is removed."""
    name = "_taken" if moment == "taken" else "_content"
    usual = getattr(lock, name)

    def pressed(*given: Any) -> Any:
        made = usual(*given)
        os.kill(os.getpid(), signal.SIGINT)
        return made

    begun = []
    monkeypatch.setattr(lock, name, pressed)
    with pytest.raises(KeyboardInterrupt), locked(tmp_path):
        begun.append(True)
    assert bool(begun) == (moment == "released")
    assert list(tmp_path.iterdir()) == []
    check_locks()
