"""The log of results: nothing is done twice, and what a kill cut off is no obstacle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from potstill.runtime.compute import CPU
from potstill.runtime.errors import UserError
from potstill.runtime.events import read_events
from potstill.schema.evaluation import NetworkResult
from potstill.units import Runner, UnitLog
from potstill.units.unit import unit_from
from tests.small import CPU64
from tests.units.toys import Square, Squaring, job, workplace


def squares(path: Path | None, numbers: range, trace: Path | None = None) -> list[int]:
    runner = Runner(workplace(), UnitLog(path))
    options = {} if trace is None else {"trace": str(trace)}
    return [result.value for _, result in runner.results([job(n, **options) for n in numbers], len(numbers))]


def test_what_is_on_record_is_not_done_again(tmp_path: Path):
    log, trace = tmp_path / "squares.units.jsonl", tmp_path / "trace"
    assert squares(log, range(3), trace) == [0, 1, 4]
    assert squares(log, range(5), trace) == [0, 1, 4, 9, 16]
    assert len(trace.read_text().splitlines()) == 5
    assert len(log.read_text().splitlines()) == 5


def test_the_log_says_what_was_done_and_what_came_of_it(tmp_path: Path):
    log = tmp_path / "squares.units.jsonl"
    squares(log, range(3, 4))
    line = json.loads(log.read_text())
    assert unit_from(line["unit"]) == Squaring(number=3)
    assert line["key"] == Squaring(number=3).key
    assert line["result"] == {"value": 9}
    assert line["compute"] == "cpu, float32, not compiled"


def test_within_one_call_equal_units_are_done_once(tmp_path: Path):
    trace = tmp_path / "trace"
    runner = Runner(workplace(), UnitLog())
    assert [result.value for _, result in runner.results([job(2, trace=str(trace))] * 3, 3)] == [4, 4, 4]
    assert len(trace.read_text().splitlines()) == 1


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_a_line_that_a_kill_cut_off_is_done_again_and_the_next_line_is_whole(cut: int, tmp_path: Path):
    log, trace = tmp_path / "squares.units.jsonl", tmp_path / "trace"
    squares(log, range(3), trace)
    log.write_bytes(log.read_bytes()[:-cut])
    assert squares(log, range(4), trace) == [0, 1, 4, 9]
    assert UnitLog(log).get(job(2, trace=str(trace)).unit, CPU) == Square(value=4)
    assert UnitLog(log).get(job(3, trace=str(trace)).unit, CPU) == Square(value=9)


def test_a_damaged_line_is_named(tmp_path: Path):
    log = tmp_path / "squares.units.jsonl"
    squares(log, range(3))
    log.write_text(log.read_text().replace('"result"', '"outcome"', 1))
    with pytest.raises(UserError, match=r"squares\.units\.jsonl: line 1\.result is missing"):
        UnitLog(log)


def test_a_result_of_another_kind_is_refused(tmp_path: Path):
    log = tmp_path / "squares.units.jsonl"
    squares(log, range(3))
    log.write_text(log.read_text().replace('{"value": 4}', '{"value": "four"}'))
    with pytest.raises(UserError, match=r"line 3\.result\.value is not an integer"):
        UnitLog(log).get(Squaring(number=2), CPU)


def test_a_result_counts_for_the_precision_that_it_was_computed_in(tmp_path: Path):
    log = UnitLog(tmp_path / "squares.units.jsonl")
    log.add(Squaring(number=3), CPU, Square(value=9))
    for read in (log, UnitLog(tmp_path / "squares.units.jsonl")):
        assert read.get(Squaring(number=3), CPU) == Square(value=9)
        assert read.get(Squaring(number=3), CPU64) is None


def test_a_later_version_of_the_code_does_the_work_again(monkeypatch: pytest.MonkeyPatch):
    log = UnitLog()
    log.add(Squaring(number=3), CPU, Square(value=9))
    monkeypatch.setattr(Squaring, "version", 2)
    assert log.get(Squaring(number=3), CPU) is None


def test_the_result_of_a_thousand_classes_is_read_back(tmp_path: Path):
    unit, log = Squaring(number=3), tmp_path / "large.units.jsonl"
    result = NetworkResult(accuracies=[0.5], confusion=[[10] * 1000] * 1000)
    UnitLog(log).add(unit, CPU, result)  # type: ignore[arg-type]
    assert log.stat().st_size > 2**21
    assert len(list(read_events(log))) == 1


def test_every_record_has_a_log_of_its_own(tmp_path: Path):
    for name in ("a.json", "a.txt", "v1.0", "v1.1"):
        UnitLog.beside(tmp_path / name).add(Squaring(number=3), CPU, Square(value=9))
    logs = {path.name for path in tmp_path.iterdir()}
    assert logs == {f"{name}.units.jsonl" for name in ("a", "a.txt", "v1.0", "v1.1")}
