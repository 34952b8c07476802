"""Trackers by name: what is unknown, absent, broken or out of reach is one line before anything runs."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from potstill.runtime.errors import UserError
from potstill.tracking import TRACKERS, make_trackers
from potstill.tracking.base import check_reachable, imported, redacted, without_secrets
from tests.tracking.addresses import closed_port
from tests.tracking.stand_in import Recorder

HERE = "tests.tracking.stand_in"


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        (
            "tensorbord",
            "unknown tracker 'tensorbord'; did you mean 'tensorboard'? see tensorboard, wandb, trackio, mlflow",
        ),
        ("wandb:projct=a", "unknown option of the tracker wandb 'projct'; did you mean 'project'? see project, name"),
        ("tensorboard:name=a", "the tracker tensorboard has no options; write tensorboard alone"),
        (f"{HERE}:Recrder", f"unknown tracker of {HERE} 'Recrder'; did you mean 'Recorder'? see the module {HERE}"),
        (
            f"{HERE}:Unfinished",
            f"{HERE}:Unfinished is not a usable tracker; derive it from potstill.tracking.Tracker, "
            "and define all of it",
        ),
        ("wandb:project", "the option project of the tracker wandb has no value; write wandb:project=VALUE"),
        ("wandb:project:name=a", "the option project of the tracker wandb has no value; write wandb:project=VALUE"),
        ("wandb:name=a:name=b", "the option name of the tracker wandb is given twice; give it once"),
        (
            f"{HERE}:Recorder:label",
            f"the option label of the tracker {HERE}:Recorder has no value; write {HERE}:Recorder:label=VALUE",
        ),
        (
            f"{HERE}:Demanding",
            f"the tracker {HERE}:Demanding needs the option file; write {HERE}:Demanding:file=VALUE",
        ),
        *(
            (
                f"{HERE}:Demanding:file={file}",
                f"the tracker {HERE}:Demanding cannot be used ({why}); check its options, or leave it out",
            )
            for file, why in {"no": "not http://host", "late": "it is late", "exit": "it ends the program"}.items()
        ),
        ("no-module:It", "'no-module:It' does not name a tracker; write their_package.module:TheirTracker"),
    ],
)
def test_a_mistake_is_named_with_what_was_meant(spec: str, complaint: str):
    with pytest.raises(UserError) as refused:
        make_trackers([spec])
    assert str(refused.value) == complaint


def test_a_tracker_of_another_package_takes_its_options():
    made = make_trackers([f"{HERE}:Recorder:label=a=b"])
    tracker = made[f"{HERE}:Recorder"]
    assert isinstance(tracker, Recorder)
    assert tracker.label == "a=b"
    assert tracker.library is sys.modules["json"]


def test_the_same_tracker_twice_is_refused():
    with pytest.raises(UserError, match=f"the tracker '{HERE}:Recorder' is named twice"):
        make_trackers([f"{HERE}:Recorder", f"{HERE}:Recorder"])


@pytest.mark.parametrize(
    ("name", "install"),
    [
        ("tensorboard", "'potstill[track]'"),
        ("wandb", "'potstill[wandb]'"),
        ("mlflow", "'potstill[mlflow]'"),
        ("trackio", "trackio"),
    ],
)
def test_an_absent_package_says_how_to_install_it(name: str, install: str, monkeypatch: pytest.MonkeyPatch):
    assert name in TRACKERS
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError) as refused:
        make_trackers([name])
    assert str(refused.value) == f"the tracker {name} is not installed; pip install {install}"


def test_a_folder_that_a_tracker_has_left_behind_is_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "footprints").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="the tracker footprints is not installed"):
        imported("footprints", "footprints")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import absent_module_of_mine", "No module named"),
        ("1 / 0", "division by zero"),
        ("raise SystemExit(3)", "it ends the program"),
        ("raise OSError('no http://me:secret@host')", "no http://host"),
    ],
)
def test_a_broken_package_is_not_taken_for_an_absent_one(
    source: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    name = f"broken{len(source)}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=rf"is installed but cannot be imported \({reason}.*--force-reinstall {name}"):
        imported(name, name)


@pytest.fixture
def server() -> Iterator[str]:
    """The address of a server that refuses everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(403)

        def log_message(self, format: str, *args: object) -> None:
            pass

    asked: list[str] = []
    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{serving.server_port}"
    serving.shutdown()
    serving.server_close()
    assert asked == ["/api"], "no token is sent"


def test_a_server_that_answers_at_all_is_reached(server: str):
    check_reachable("it", f"http://me:secret@{server}/api?token=secret", "start it")


def test_a_server_that_does_not_answer_is_one_line_without_secrets():
    there = closed_port()
    with pytest.raises(UserError) as refused:
        check_reachable("it", f"http://me:secret@{there}/api?token=secret", "start it")
    assert str(refused.value) == f"it cannot reach http://{there}/api (Connection refused); start it"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://me:secret@host/db?a=b", "postgresql://host/db"),
        ("sqlite:////tmp/a@b/mlflow.db", "sqlite:////tmp/a@b/mlflow.db"),
        ("http://me:s3@secret@host:80/api", "http://host:80/api"),
        ("http://me:a/secret@host", "http://..."),
        ("http://me:a?secret@host", "http://..."),
        ("http://me:secret", "http://..."),
        ("http://host/api#token=secret", "http://host/api"),
        ("http://[secret", "http://..."),
    ],
)
def test_secrets_in_addresses_are_not_shown(address: str, shown: str):
    assert without_secrets(address) == shown
    assert redacted(f"it is gone: '{address}'").removesuffix("'") == f"it is gone: '{shown}"


def test_what_is_asked_of_a_path_is_not_shown():
    assert redacted("Max retries exceeded with url: /api?token=secret (why?)") == (
        "Max retries exceeded with url: /api (why?)"
    )


def test_a_package_that_is_built_in_is_installed():
    assert imported("time", "time") is sys.modules["time"]
