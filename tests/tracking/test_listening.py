"""What trackers are told of a run: all of it once, in order, whatever interrupts the run or breaks the tracker."""

from __future__ import annotations

import json
import logging
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from potstill.data import ImageDataset
from potstill.distillation import RunFolder, distill, driver, in_turn
from potstill.runtime.errors import UserError
from potstill.runtime.events import read_events
from potstill.synthetic import SyntheticSet
from potstill.tracking import Tracking
from potstill.tracking.pictures import picture_of
from tests.runs import SETTINGS, dataset, lasting, quick_validation
from tests.tracking.sessions import EVALUATION, LOSSES, PICTURES, VALIDATIONS, Killed, stop_after
from tests.tracking.stand_in import Elsewhere, Failing, Forgetful, Losing, Recorder, Stuck

__all__ = ["dataset", "quick_validation"]


@pytest.fixture
def _every_iteration_is_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(driver, "CHECKPOINT_SECONDS", -1.0)


def test_a_tracker_is_told_settings_numbers_pictures_and_the_outcome(dataset: ImageDataset, tmp_path: Path):
    tracker, folder = Recorder(), tmp_path / "first run"
    with Tracking({"it": tracker}, folder) as tracking:
        assert tracker.told == []
        done = distill(SETTINGS, dataset, out=folder, listen=tracking)
    ((opened,),) = tracker.of("open")
    assert tracker.told[0] == ("open", opened)
    assert (opened.folder, opened.name, opened.earlier, opened.iteration) == (folder, "first run", None, 0)
    assert (opened.config["ipc"], opened.config["method.name"], opened.config["method.batch_real"]) == (1, "dm", 8)
    recorded = list(read_events(RunFolder(folder).metrics))
    losses = [[event["iteration"], event["loss"]] for event in recorded if event["event"] == "step"]
    assert tracker.of("loss") == losses
    judged = [[event["iteration"], event["accuracy"]] for event in recorded if event["event"] == "validation"]
    assert tracker.of("validation/accuracy") == judged
    assert [iteration for iteration, _ in tracker.of("set")] == PICTURES
    ((outcome,),) = tracker.of("outcome")
    assert outcome["status"] == "complete"
    assert outcome["set_sha256"] == done.synthetic.fingerprint()
    assert outcome["machine.cores"] > 0
    assert tracker.told[-1] == ("close", True)


def test_the_picture_shows_the_set(dataset: ImageDataset):
    made = SyntheticSet.from_indices(dataset.train, dataset.train.class_index[3][:1])
    pixels = picture_of(made, "one image")
    assert pixels.dtype == np.uint8
    assert pixels.shape[2] == 3
    values = (made.pixels()[0, 0].numpy() * 255).round().astype(np.uint8)
    side = 120 // 8
    enlarged = values.repeat(side, axis=0).repeat(side, axis=1)
    first_rows = np.lib.stride_tricks.sliding_window_view(pixels[..., 0], len(enlarged), axis=1)
    places = np.argwhere((first_rows == enlarged[0]).all(axis=2))
    shown = (pixels[top : top + len(enlarged), left : left + len(enlarged), 0] for top, left in places)
    assert any(np.array_equal(each, enlarged) for each in shown)


def test_a_resumed_run_goes_on_in_the_tracker_without_a_second_word(dataset: ImageDataset, tmp_path: Path):
    first, second, folder = Recorder(), Recorder(), tmp_path / "run"
    with pytest.raises(KeyboardInterrupt), Tracking({"it": first}, folder) as tracking:
        distill(SETTINGS, dataset, out=folder, listen=in_turn(tracking, stop_after(3)))
    assert first.told[-1] == ("close", False)
    assert json.loads((folder / "tracking.json").read_text()) == {
        "it": {"run": "number 1", "closed": True, "told": {"step": 3, "validation": 2, "picture": 2}, "where": {}}
    }
    with Tracking({"it": second}, folder) as tracking:
        distill(SETTINGS, dataset, out=folder, resume=True, listen=tracking)
    ((opened,),) = second.of("open")
    assert (opened.earlier, opened.killed, opened.iteration) == ("number 1", False, 3)
    assert [iteration for iteration, _ in first.of("loss") + second.of("loss")] == LOSSES
    assert [iteration for iteration, _ in first.of("set") + second.of("set")] == PICTURES
    assert second.told[-1] == ("close", True)


@pytest.mark.parametrize("kept", [False, True])
def test_after_a_kill_nothing_is_told_twice(
    kept: bool, dataset: ImageDataset, tmp_path: Path, request: pytest.FixtureRequest
):
    folder, told = tmp_path / "run", {"it": Recorder(), "forgetful": Forgetful(), "losing": Losing()}
    if kept:
        request.getfixturevalue("_every_iteration_is_kept")
    with pytest.raises(Killed):
        distill(SETTINGS, dataset, out=folder, listen=in_turn(Tracking(told, folder), stop_after(5, Killed)))
    remembered = json.loads((folder / "tracking.json").read_text())["it"]
    assert (remembered["closed"], remembered["told"]["step"]) == (False, 5)
    again = {"it": Recorder(), "forgetful": Forgetful(), "losing": Losing()}
    with Tracking(again, folder) as tracking:
        distill(SETTINGS, dataset, out=folder, resume=True, listen=tracking)
    resumed_at = 4 if kept else 0
    for name, first in told.items():
        ((opened,),) = again[name].of("open")
        assert (opened.killed, opened.iteration) == (True, resumed_at)
        assert first.of("loss")[-1][0] == 5
        begun = {"it": 6, "forgetful": resumed_at + 1, "losing": 2}[name]
        assert [iteration for iteration, _ in again[name].of("loss")] == list(range(begun, 7))
        judged = [iteration for iteration in VALIDATIONS if iteration >= begun]
        assert [iteration for iteration, _ in again[name].of("validation/accuracy")] == judged
        drawn = [iteration for iteration in judged if iteration > resumed_at]  # sets are not on record
        assert [iteration for iteration, _ in again[name].of("set")] == drawn


def test_after_two_kills_nothing_is_told_twice(dataset: ImageDataset, tmp_path: Path):
    folder, heard = tmp_path / "run", {"it": list[int](), "forgetful": list[int]()}
    for session, iteration in enumerate([5, 2, None]):
        told = {"it": Recorder(), "forgetful": Forgetful()}
        stop = (lambda *unused: None) if iteration is None else stop_after(iteration, Killed)
        with pytest.raises(Killed) if iteration else nullcontext():
            distill(SETTINGS, dataset, out=folder, resume=session > 0, listen=in_turn(Tracking(told, folder), stop))
        for name, tracker in told.items():
            heard[name] += [each for each, _ in tracker.of("loss")]
    assert heard == {"it": LOSSES, "forgetful": [1, 2, 3, 4, 5, 1, 2, *LOSSES]}


@pytest.mark.usefixtures("_every_iteration_is_kept")
@pytest.mark.parametrize("how", [KeyboardInterrupt, Killed])
def test_what_was_not_tracked_between_is_told_later(how: type[BaseException], dataset: ImageDataset, tmp_path: Path):
    folder, first, last = tmp_path / "run", Recorder(), Recorder()
    with pytest.raises(how):
        distill(SETTINGS, dataset, out=folder, listen=in_turn(Tracking({"it": first}, folder), stop_after(2, how)))
    with pytest.raises(KeyboardInterrupt):
        distill(SETTINGS, dataset, out=folder, resume=True, listen=stop_after(5))
    with Tracking({"it": last}, folder) as tracking:
        distill(SETTINGS, dataset, out=folder, resume=True, listen=tracking)
    assert [iteration for iteration, _ in first.of("loss") + last.of("loss")] == LOSSES
    judged = [iteration for iteration, _ in first.of("validation/accuracy") + last.of("validation/accuracy")]
    assert judged == VALIDATIONS


def test_what_a_tracker_missed_when_it_failed_is_told_later(dataset: ImageDataset, tmp_path: Path):
    folder, failing, later = tmp_path / "run", Failing(), Recorder()
    with Tracking({"it": failing}, folder) as tracking:
        distill(SETTINGS, dataset, out=folder, listen=tracking)
    with Tracking({"it": later}, folder) as tracking:
        tracking("evaluation", {"evaluation": EVALUATION})
    assert [iteration for iteration, _ in failing.of("loss") + later.of("loss")] == LOSSES


def test_a_run_goes_on_elsewhere_as_one_that_is_new_there(dataset: ImageDataset, tmp_path: Path):
    folder = tmp_path / "run"
    sessions = {"http://me:secret@a": False, "http://b": False, "": True, "http://me:other@b": True}
    for number, (where, known) in enumerate(sessions.items()):
        tracker = Elsewhere(store=where)
        with Tracking({"it": tracker}, folder) as tracking:
            if number == 0:
                distill(SETTINGS, dataset, out=folder, listen=tracking)
            tracking("evaluation", {"evaluation": EVALUATION})
        assert [iteration for iteration, _ in tracker.of("loss")] == ([] if known else LOSSES)
        ((opened,),) = tracker.of("open")
        assert (opened.earlier is not None) is known
    assert "secret" not in (folder / "tracking.json").read_text()


@pytest.mark.parametrize("reached", ["3", 2.5, True])
def test_a_tracker_that_names_no_iteration_is_left_out(
    reached: object, dataset: ImageDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    folder = tmp_path / "run"
    with Tracking({"it": Recorder()}, folder) as tracking:
        distill(SETTINGS, dataset, out=folder, listen=tracking)
    wrong: Any = Recorder()
    wrong.reached = reached
    with caplog.at_level(logging.WARNING, "potstill"), Tracking({"it": wrong}, folder) as tracking:
        tracking("evaluation", {"evaluation": EVALUATION})
    (record,) = caplog.records
    assert f"the tracker it failed (reached is {reached!r}, not an iteration)" in record.message
    assert wrong.told[-1] == ("close", False)


@pytest.mark.parametrize("file", ["config.toml", "manifest.json"])
def test_a_damaged_run_folder_costs_an_evaluation_one_warning(
    file: str, dataset: ImageDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    folder = tmp_path / "run"
    distill(SETTINGS, dataset, out=folder)
    (folder / file).write_text("[")
    with caplog.at_level(logging.WARNING, "potstill"), Tracking({"it": Recorder()}, folder) as tracking:
        tracking("evaluation", {"evaluation": EVALUATION})
    (record,) = caplog.records
    assert record.message.startswith("trackers do not receive everything (")
    assert file in record.message


def test_places_that_cannot_be_written_down_cost_one_warning(
    dataset: ImageDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    folder, tracker = tmp_path / "run", Recorder()
    distill(SETTINGS, dataset, out=folder)
    with caplog.at_level(logging.WARNING, "potstill"), Tracking({"it": tracker}, folder) as tracking:
        (folder / "tracking.json").mkdir()
        tracking("evaluation", {"evaluation": EVALUATION})
    (record,) = caplog.records
    assert "tracking.json" in record.message
    assert tracker.told[-1] == ("close", True)
    assert [iteration for iteration, _ in tracker.of("loss")] == LOSSES


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ({"event": "step", "iteration": 3, "loss": "Infinity"}, r"line 1\.loss is not a number"),
        ({"event": "validation", "iteration": 3, "accuracy": [1]}, r"line 1\.accuracy is not a number"),
        ({"event": "step", "iteration": 3}, None),
    ],
)
def test_a_damaged_record_is_not_blamed_on_the_tracker(
    line: dict[str, object], complaint: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    tracker = Recorder()
    refused = pytest.raises(UserError, match=complaint) if complaint else nullcontext()
    with refused, Tracking({"it": tracker}, tmp_path) as tracking:
        tracking("evaluation", {"evaluation": EVALUATION})
    assert caplog.records == []
    assert tracker.of("loss") == []


def test_a_tracker_that_joins_a_run_later_is_told_from_the_record(dataset: ImageDataset, tmp_path: Path):
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        distill(SETTINGS, dataset, out=folder, listen=stop_after(3))
    late, later = Recorder(), Recorder()
    with Tracking({"late": late}, folder) as tracking:
        distill(SETTINGS, dataset, out=folder, resume=True, listen=tracking)
    assert [iteration for iteration, _ in late.of("loss")] == LOSSES
    assert [iteration for iteration, _ in late.of("set")] == [4, 6], "sets are not on record"
    with Tracking({"later": later}, folder) as tracking:
        tracking("evaluation", {"evaluation": EVALUATION})
    ((opened,),) = later.of("open")
    assert opened.config["method.name"] == "dm"
    assert [iteration for iteration, _ in later.of("loss")] == LOSSES
    assert set(json.loads((folder / "tracking.json").read_text())) == {"late", "later"}


def test_an_evaluation_is_a_table_and_numbers_at_the_iteration_of_the_set(dataset: ImageDataset, tmp_path: Path):
    folder, tracker = tmp_path / "run", Recorder()
    done = distill(SETTINGS, dataset, out=folder)
    with Tracking({"it": tracker}, folder) as tracking:
        tracking("evaluation", {"evaluation": EVALUATION})
    chosen = done.synthetic.provenance["chosen_iteration"]
    ((iteration, rows),) = tracker.of("evaluation/quick@1")
    assert iteration == chosen
    low, high = EVALUATION.networks["convnet:width=8"].interval or (0, 0)
    assert [(row["trained on"], row["accuracy"], row["repeats"]) for row in rows] == [
        ("distilled", 0.6, 2),
        ("random", 0.25, 1),
    ]
    assert (rows[0]["network"], rows[0]["recipe"], rows[0]["set"]) == ("convnet:width=8", "quick@1", "ab")
    assert (rows[0]["low 95 %"], rows[0]["high 95 %"]) == (low, high)
    assert rows[1]["std"] is None
    assert tracker.of("evaluation/quick@1/convnet:width=8/distilled") == [[chosen, 0.6]]
    assert tracker.of("evaluation/quick@1/convnet:width=8/random") == [[chosen, 0.25]]
    assert tracker.told[-1] == ("close", True)


def test_the_evaluation_of_a_set_alone_is_told(tmp_path: Path):
    tracker = Recorder()
    with Tracking({"it": tracker}, tmp_path / "sets") as tracking:
        (tmp_path / "sets").mkdir()
        tracking("evaluation", {"evaluation": EVALUATION})
    assert tracker.of("evaluation/quick@1/convnet:width=8/distilled") == [[0, 0.6]]


def test_a_tracker_that_fails_is_one_warning_and_the_run_goes_on(
    dataset: ImageDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    failing, well = Failing(), Recorder()
    both = {"a": failing, "b": well}
    distill(SETTINGS, dataset, out=tmp_path / "alone")
    with (
        caplog.at_level(logging.WARNING, "potstill"),
        Tracking(both, tmp_path / "run") as tracking,
    ):
        distill(SETTINGS, dataset, out=tmp_path / "run", listen=tracking)
    assert [record.message for record in caplog.records] == [
        "the tracker a failed (no http://host/x); the run continues without it"
    ]
    assert [iteration for iteration, _ in failing.of("loss")] == [1, 2]
    assert failing.told[-1] == ("close", False)
    assert [iteration for iteration, _ in well.of("loss")] == LOSSES
    assert lasting(tmp_path / "run") == lasting(tmp_path / "alone")


@pytest.mark.parametrize("part", ["open", "picture", "outcome", "close"])
@pytest.mark.parametrize("error", [RuntimeError("no"), SystemExit(1)], ids=["error", "exit"])
def test_whatever_fails_in_a_tracker_the_run_ends_as_it_should(
    part: str,
    error: BaseException,
    dataset: ImageDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    def fails(*arguments: object, **named: object) -> None:
        raise error

    monkeypatch.setattr(Recorder, part, fails)
    with caplog.at_level(logging.WARNING, "potstill"), Tracking({"it": Recorder()}, tmp_path / "run") as tracking:
        assert distill(SETTINGS, dataset, out=tmp_path / "run", listen=tracking).status == "complete"
    assert len(caplog.records) == 1


def test_what_a_failed_open_has_begun_is_closed(dataset: ImageDataset, tmp_path: Path):
    tracker = Stuck()
    with Tracking({"it": tracker}, tmp_path / "run") as tracking:
        distill(SETTINGS, dataset, out=tmp_path / "run", listen=tracking)
    assert [name for name, *_ in tracker.told] == ["open", "close"]


def test_an_interruption_within_a_tracker_interrupts_the_run(
    dataset: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Recorder, "picture", interrupted)
    with pytest.raises(KeyboardInterrupt), Tracking({"it": Recorder()}, tmp_path / "run") as tracking:
        distill(SETTINGS, dataset, out=tmp_path / "run", listen=tracking)
    assert RunFolder(tmp_path / "run").read_manifest().status == "interrupted"


def test_a_run_that_is_refused_leaves_nothing_in_the_tracker(dataset: ImageDataset, tmp_path: Path):
    tracker = Recorder()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("")
    with pytest.raises(UserError, match="already exists"), Tracking({"it": tracker}, tmp_path / "run") as tracking:
        distill(SETTINGS, dataset, out=tmp_path / "run", listen=tracking)
    assert tracker.told == []


@pytest.mark.parametrize("place", ["../elsewhere", "..", "", "a\\b", 3, None])
def test_a_place_that_no_tracker_has_written_is_refused(place: object, tmp_path: Path):
    (tmp_path / "tracking.json").write_text(json.dumps({"it": {"run": place, "closed": True, "told": {}}}))
    with pytest.raises(UserError, match=r"tracking\.json"):
        Tracking({"it": Recorder()}, tmp_path)
