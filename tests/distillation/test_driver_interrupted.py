"""Nothing that interrupts a run changes what it computes: Ctrl-C, time limits, kills, power cuts, full disks."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from potstill.data import ImageDataset
from potstill.distillation import driver, validation
from potstill.distillation.checkpoint import Checkpoint
from potstill.distillation.driver import distill
from potstill.distillation.run_folder import RunFolder
from potstill.distillation.settings import Settings
from potstill.methods import Method
from potstill.runtime import lock
from potstill.runtime.errors import UserError
from potstill.runtime.events import read_events
from potstill.synthetic import SyntheticSet
from tests.forks import forked
from tests.runs import ITERATIONS, SETTINGS, TRAINED, dataset, lasting, pretended, quick_validation

pytestmark = pytest.mark.slow

__all__ = ["dataset", "quick_validation"]

SHORT = replace(SETTINGS, iterations=4)
"""Two validations: for what is interrupted at every place there is."""


@pytest.fixture
def _every_iteration_is_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(driver, "CHECKPOINT_SECONDS", -1.0)


every_iteration_is_kept = pytest.mark.usefixtures("_every_iteration_is_kept")


def interrupt_after(iterations: int) -> Callable[[str, dict[str, Any]], None]:
    """A listener that presses Ctrl-C."""

    def listen(event: str, fields: dict[str, Any]) -> None:
        if event == "step" and fields["iteration"] == iterations:
            raise KeyboardInterrupt

    return listen


@pytest.fixture(scope="module")
def uninterrupted(dataset: ImageDataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What runs of ``SETTINGS``, ``TRAINED`` and ``SHORT`` leave if nothing interrupts them."""
    left = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(validation, "validation_accuracy", lambda images, dataset, **rest: pretended(images))
        for name, settings in {"dm": SETTINGS, "datadam": TRAINED, "short": SHORT}.items():
            folder = tmp_path_factory.mktemp("uninterrupted") / "run"
            distill(settings, dataset, out=folder)
            left[name] = lasting(folder)
    return left


@pytest.mark.parametrize("settings", [SETTINGS, TRAINED], ids=["dm", "datadam"])
@pytest.mark.parametrize("iterations", [1, 3, 5])
def test_interrupted_and_resumed_equals_uninterrupted(
    settings: Settings[Method], iterations: int, dataset: ImageDataset, tmp_path: Path, uninterrupted: dict[str, Any]
):
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        distill(settings, dataset, out=folder, listen=interrupt_after(iterations))
    manifest = RunFolder(folder).read_manifest().to_json()
    assert manifest["status"] == "interrupted"
    assert manifest["iterations"] == {"done": iterations, "asked": ITERATIONS}
    assert SyntheticSet.load(folder / "synthetic.safetensors").images.isfinite().all()
    done = distill(settings, dataset, out=folder, resume=True)
    assert done.status == "complete"
    assert lasting(folder) == uninterrupted[settings.method.name]
    sessions = [e["event"] for e in read_events(folder / "metrics.jsonl") if e["event"] in ("start", "resume")]
    assert sessions == ["start", "resume"]


@pytest.mark.parametrize("iteration", [2, 4, ITERATIONS])
def test_a_validation_that_was_interrupted_is_done_when_resumed(
    iteration: int,
    dataset: ImageDataset,
    tmp_path: Path,
    uninterrupted: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
):
    looks = 0

    def mortal(images: SyntheticSet, dataset: ImageDataset, **rest: Any) -> float:
        nonlocal looks
        looks += 1
        if looks == iteration // 2:
            raise KeyboardInterrupt
        return pretended(images)

    with monkeypatch.context() as patch:
        patch.setattr(validation, "validation_accuracy", mortal)
        with pytest.raises(KeyboardInterrupt):
            distill(SETTINGS, dataset, out=tmp_path / "run")
    assert RunFolder(tmp_path / "run").read_manifest().to_json()["iterations"]["done"] == iteration
    distill(SETTINGS, dataset, out=tmp_path / "run", resume=True)
    assert lasting(tmp_path / "run") == uninterrupted["dm"]


def test_time_limit_stops_a_session_and_resume_goes_on(
    dataset: ImageDataset, tmp_path: Path, uninterrupted: dict[str, Any]
):
    folder = tmp_path / "run"
    assert distill(SETTINGS, dataset, out=folder, time_limit=0.0).status == "time limit"
    manifest = RunFolder(folder).read_manifest().to_json()
    assert (manifest["status"], manifest["iterations"]["done"]) == ("time limit", 0)
    sessions = 0
    while distill(SETTINGS, dataset, out=folder, resume=True, time_limit=0.05).status == "time limit":
        sessions += 1
        assert sessions < 100
    assert lasting(folder) == uninterrupted["dm"]


def test_a_generous_time_limit_changes_nothing(dataset: ImageDataset, tmp_path: Path, uninterrupted: dict[str, Any]):
    assert distill(SETTINGS, dataset, out=tmp_path / "run", time_limit=1e6).status == "complete"
    assert lasting(tmp_path / "run") == uninterrupted["dm"]


def test_seconds_add_up_over_sessions(dataset: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        distill(SETTINGS, dataset, out=folder, listen=interrupt_after(3))
    first = RunFolder(folder).read_manifest().to_json()["seconds"]
    distill(SETTINGS, dataset, out=folder, resume=True)
    assert RunFolder(folder).read_manifest().to_json()["seconds"] > first
    steps = [event["seconds"] for event in read_events(folder / "metrics.jsonl") if event["event"] == "step"]
    assert steps == sorted(steps)


class PowerCut(BaseException):
    """What no one catches."""


@contextmanager
def power_cut(monkeypatch: pytest.MonkeyPatch, replacement: int, *, before: bool) -> Iterator[list[int]]:
    """The process dies right before or right after the given replacement of a file."""
    real, count = os.replace, [0]

    def cut(source: Any, target: Any) -> None:
        count[0] += 1
        if count[0] == replacement and before:
            raise PowerCut
        real(source, target)
        if count[0] == replacement:
            raise PowerCut

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", cut)
        yield count


@every_iteration_is_kept
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_power_cut_at_any_file_can_be_resumed(
    before: bool,
    dataset: ImageDataset,
    tmp_path: Path,
    uninterrupted: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
):
    with power_cut(monkeypatch, 10**6, before=before) as count:
        distill(SHORT, dataset, out=tmp_path / "counted")
    for replacement in range(1, count[0] + 1):
        folder = tmp_path / str(replacement)
        with power_cut(monkeypatch, replacement, before=before), pytest.raises(PowerCut):
            distill(SHORT, dataset, out=folder)
        # A folder is there with all that resuming needs, or not at all.
        distill(SHORT, dataset, out=folder, resume=folder.exists())
        assert lasting(folder) == uninterrupted["short"], replacement
    assert SHORT.iterations is not None
    assert count[0] > 2 * SHORT.iterations


@contextmanager
def interrupted_at(line: int) -> Iterator[list[int]]:
    """Press Ctrl-C before a line of the driver, counted once two iterations are done; yields the count of lines."""
    count = [0]

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename != driver.__file__:
            return None
        now = getattr(frame.f_locals.get("self"), "now", None)
        if event == "line" and now is not None and now.iteration == 2:
            count[0] += 1
            if count[0] == line:
                signal.raise_signal(signal.SIGINT)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield count
    finally:
        sys.settrace(before)


def test_ctrl_c_at_every_other_line_loses_no_line_of_the_record(
    dataset: ImageDataset, tmp_path: Path, uninterrupted: dict[str, Any]
):
    with interrupted_at(10**6) as count:
        distill(SHORT, dataset, out=tmp_path / "counted")
    for line in range(1, count[0] + 1, 2):
        folder = tmp_path / str(line)
        with interrupted_at(line), pytest.raises(KeyboardInterrupt):
            distill(SHORT, dataset, out=folder)
        distill(SHORT, dataset, out=folder, resume=True)
        assert lasting(folder) == uninterrupted["short"], line
    assert count[0] > 30


KILLED = """
import sys
from pathlib import Path
from potstill.distillation import driver, validation
from tests.small import small_digits
from tests.runs import pretended
from tests.distillation.test_driver_interrupted import LONG

driver.CHECKPOINT_SECONDS = -1.0
validation.validation_accuracy = lambda images, dataset, **rest: pretended(images)
say = lambda event, fields: print(event, flush=True)
folder = Path(sys.argv[1])
driver.distill(LONG, small_digits(), out=folder, resume=folder.exists(), listen=say)
"""

LONG = replace(SETTINGS, iterations=60, validate_every=7)


def test_killed_again_and_again_and_resumed_equals_uninterrupted(dataset: ImageDataset, tmp_path: Path):
    chance = random.Random(0)
    folder, expected = tmp_path / "killed", tmp_path / "uninterrupted"
    for call in ("first", "second"):
        with forked("-c", KILLED, str(folder), folder=tmp_path / call) as process:
            wait_for_lines(process.output, chance.randint(3, 20))
            time.sleep(chance.uniform(0, 0.02))
            os.kill(process.pid, signal.SIGKILL)
            assert process.wait(60) == -9
    recorded = [event["event"] for event in read_events(folder / "metrics.jsonl")]
    assert recorded.count("start") == recorded.count("resume") == 1
    assert "finish" not in recorded
    assert distill(LONG, dataset, out=folder, resume=True).status == "complete"
    distill(LONG, dataset, out=expected)
    assert lasting(folder) == lasting(expected)


def wait_for_lines(file: Path, count: int) -> None:
    """Wait until a process has written so many lines."""
    deadline = time.monotonic() + 120
    while not file.exists() or file.read_bytes().count(b"\n") < count:
        assert time.monotonic() < deadline
        time.sleep(0.002)


@every_iteration_is_kept
@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize("calls", [2, 5, 8, 11])
def test_a_full_disk_keeps_what_was_there(
    function: str,
    calls: int,
    dataset: ImageDataset,
    tmp_path: Path,
    uninterrupted: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
):
    real, left = getattr(os, function), [calls]

    def full(*arguments: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*arguments)

    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(os, function, full)
        with pytest.raises(UserError, match=r"cannot (write|make) .*: No space left on device; free some space"):
            distill(SETTINGS, dataset, out=folder)
    assert not [path.name for path in folder.rglob(".*")], "half-written files"
    if calls > 5:
        assert SyntheticSet.load(folder / "synthetic.safetensors").images.isfinite().all()
        assert Checkpoint.load(RunFolder(folder).checkpoint).iteration >= 0
    distill(SETTINGS, dataset, out=folder, resume=folder.exists())
    assert lasting(folder) == uninterrupted["dm"]


def test_metrics_cut_off_by_a_kill_do_not_hinder(dataset: ImageDataset, tmp_path: Path, uninterrupted: dict[str, Any]):
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        distill(SETTINGS, dataset, out=folder, listen=interrupt_after(3))
    with (folder / "metrics.jsonl").open("a") as stream:
        stream.write(json.dumps({"event": "step", "iteration": 4})[:-5])
    distill(SETTINGS, dataset, out=folder, resume=True)
    assert lasting(folder) == uninterrupted["dm"]


def test_a_folder_that_is_deleted_in_mid_run_is_not_remade(dataset: ImageDataset, tmp_path: Path):
    folder = tmp_path / "run"

    def delete(event: str, fields: dict[str, Any]) -> None:
        if event == "step" and fields["iteration"] == 3:
            shutil.rmtree(folder)

    with pytest.raises(UserError, match="run was deleted, moved or taken over"):
        distill(SETTINGS, dataset, out=folder, listen=delete)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_still_going_is_not_resumed(dataset: ImageDataset, tmp_path: Path):
    refused = []

    def resume(event: str, fields: dict[str, Any]) -> None:
        if event == "step" and fields["iteration"] == 3:
            with pytest.raises(UserError, match="run has been in use by process"):
                distill(SETTINGS, dataset, out=tmp_path / "run", resume=True)
            refused.append(event)

    assert distill(SETTINGS, dataset, out=tmp_path / "run", listen=resume).status == "complete"
    assert refused
    assert not list((tmp_path / "run").glob(".*"))


def test_ctrl_c_while_a_run_is_taken_up_leaves_no_lock(
    dataset: ImageDataset, tmp_path: Path, uninterrupted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        distill(SETTINGS, dataset, out=folder, listen=interrupt_after(3))
    taken = lock._taken

    def pressed(target: Path, path: Path) -> lock.Lock:
        held = taken(target, path)
        os.kill(os.getpid(), signal.SIGINT)
        return held

    with monkeypatch.context() as patch:
        patch.setattr(lock, "_taken", pressed)
        with pytest.raises(KeyboardInterrupt):
            distill(SETTINGS, dataset, out=folder, resume=True)
    assert not list(folder.glob(".*"))
    distill(SETTINGS, dataset, out=folder, resume=True)
    assert lasting(folder) == uninterrupted["dm"]


@pytest.mark.parametrize("moment", ["start", "step", "finish"])
def test_ctrl_c_again_and_again_waits_until_the_run_is_closed(
    moment: str, dataset: ImageDataset, tmp_path: Path, uninterrupted: dict[str, Any]
):
    """The first comes right after the folder is made, in an iteration, or while the run is being closed."""
    folder, pressed = tmp_path / "run", []

    def press(event: str, fields: dict[str, Any]) -> None:
        if event == moment or pressed:
            pressed.append(event)
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            distill(SETTINGS, dataset, out=folder, listen=press)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(pressed) > (moment != "finish")
    status = RunFolder(folder).read_manifest().status
    assert status == ("complete" if moment == "finish" else "interrupted")
    assert SyntheticSet.load(folder / "synthetic.safetensors").images.isfinite().all()
    assert not list(folder.rglob(".*"))
    distill(SETTINGS, dataset, out=folder, resume=True)
    assert lasting(folder) == uninterrupted["dm"]
