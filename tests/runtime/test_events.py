"""The event record of a run."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from potstill.runtime.errors import UserError
from potstill.runtime.events import EventLog, in_turn, read_events

fields = st.dictionaries(
    st.text(st.characters(categories=["Ll"]), min_size=1).filter(
        lambda name: name not in ("event", "self", "iteration")
    ),
    st.text() | st.integers() | st.floats(allow_nan=False) | st.lists(st.text(), max_size=2),
    max_size=3,
)
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def recorded(path: Path, *events: str) -> Path:
    path.write_text("".join(f"{event}\n" for event in events), encoding="utf-8")
    return path


@in_one_folder
@given(st.lists(st.tuples(st.text(), fields), max_size=4))
def test_events_come_back_in_order(tmp_path: Path, events: list[tuple[str, dict[str, object]]]):
    path = tmp_path / "metrics.jsonl"
    path.unlink(missing_ok=True)
    for event, values in events:
        EventLog(path).append(event, **values)
    assert list(read_events(path)) == [{"event": event, **values} for event, values in events]


def test_names_that_utf8_cannot_encode_come_back(tmp_path: Path):
    log = EventLog(tmp_path / "metrics.jsonl")
    log.append("start", dataset=os.fsdecode(b"caf\xe9"))
    log.truncate_after(0)
    assert list(read_events(log.path)) == [{"event": "start", "dataset": os.fsdecode(b"caf\xe9")}]


def test_each_event_is_in_the_file_at_once(tmp_path: Path):
    log = EventLog(tmp_path / "metrics.jsonl")
    for iteration in (1, 2, 3):
        log.append("step", iteration=iteration)
        lines = log.path.read_text().splitlines()
        assert len(lines) == iteration
        assert json.loads(lines[-1]) == {"event": "step", "iteration": iteration}


def test_appending_keeps_what_an_earlier_session_wrote(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    EventLog(path).append("start")
    EventLog(path).append("finish")
    assert [event["event"] for event in read_events(path)] == ["start", "finish"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_the_users_to_mend():
    with pytest.raises(UserError, match=r"cannot write /dev/full: No space left on device; .*`resume=True`"):
        EventLog(Path("/dev/full")).append("step")


def test_an_absent_record_has_no_events(tmp_path: Path):
    assert list(read_events(tmp_path / "absent.jsonl")) == []


def test_a_line_that_a_kill_cut_off_anywhere_is_passed_over(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    whole = b'{"event": "start"}\n'
    last = '{"event": "step", "class": "naïve"}'.encode()
    for length in range(len(last)):
        path.write_bytes(whole + last[:length])
        assert list(read_events(path)) == [{"event": "start"}], last[:length]


def test_a_damaged_line_within_is_named_by_number(tmp_path: Path):
    path = recorded(tmp_path / "metrics.jsonl", '{"event": "start"}', '{"event": ', '{"event": "finish"}')
    with pytest.raises(UserError, match=r"metrics\.jsonl, line 2 is damaged.*delete that line"):
        list(read_events(path))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("[]", "it is not an object"),
        ("3", "it is not an object"),
        ('{"event": "step", "iteration": "x"}', "iteration is not a whole number"),
        ('{"event": "step", "iteration": -Infinity}', "iteration is not a whole number"),
        ('{"event": "step", "iteration": 1.5}', "iteration is not a whole number"),
        ('{"event": "step", "iteration": -1}', "iteration is not a whole number"),
        ('{"event": "step", "event": "step"}', "'event' appears twice"),
        (f'{{"iteration": {"1" * 400}}}', "400 digits"),
        ("[" * 100_000, "64 levels deep"),
        (f'{{"event": "{"x" * 2**24}"}}', "it has more than 16,777,216 bytes"),
    ],
)
@pytest.mark.parametrize("after", [(), ('{"event": "finish"}',)])
def test_a_line_that_was_never_an_event_is_refused_anywhere(
    line: str, problem: str, after: tuple[str, ...], tmp_path: Path
):
    path = recorded(tmp_path / "metrics.jsonl", '{"event": "start"}', line, *after)
    with pytest.raises(UserError, match=rf"metrics\.jsonl, line 2 is damaged: .*{problem}"):
        list(read_events(path))


def test_events_are_not_awaited_from_a_pipe(tmp_path: Path):
    os.mkfifo(tmp_path / "metrics.jsonl")
    with pytest.raises(UserError, match="it is a named pipe, not a regular file"):
        list(read_events(tmp_path / "metrics.jsonl"))


def test_truncating_drops_what_will_be_recorded_again(tmp_path: Path):
    log = EventLog(tmp_path / "metrics.jsonl")
    log.append("start")
    for iteration in range(1, 6):
        log.append("step", iteration=iteration, note="größer")
    log.truncate_after(3)
    assert [event.get("iteration") for event in read_events(log.path)] == [None, 1, 2, 3]
    log.append("step", iteration=4)
    assert [event.get("iteration") for event in read_events(log.path)] == [None, 1, 2, 3, 4]


def test_truncating_mends_a_line_that_was_cut_off(tmp_path: Path):
    log = EventLog(tmp_path / "metrics.jsonl")
    log.append("step", iteration=1)
    with log.path.open("a") as stream:
        stream.write('{"event": "st')
    log.truncate_after(1)
    log.append("step", iteration=2)
    assert [event["iteration"] for event in read_events(log.path)] == [1, 2]


def test_several_listeners_are_told_in_their_order():
    told: list[tuple[str, str, object]] = []
    listen = in_turn(*(lambda event, fields, who=who: told.append((who, event, fields["iteration"])) for who in "ab"))
    listen("step", {"iteration": 1})
    listen("finish", {"iteration": 2})
    assert told == [("a", "step", 1), ("b", "step", 1), ("a", "finish", 2), ("b", "finish", 2)]
