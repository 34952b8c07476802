"""Mutations of every kind of file: only errors that the user can mend leave, soon and without taking memory."""

from __future__ import annotations

import json
import time
from pathlib import Path
from random import Random

import pytest

from potstill.runtime.errors import UserError
from tests.fuzz import campaign
from tests.fuzz.campaign import Kind, run
from tests.fuzz.kinds import KINDS
from tests.fuzz.mutations import mutated

COUNT = 100
DEAR_COUNT = 40
"""Of kinds that are read in many steps; ``python -m benchmarks.fuzz`` reads thousands of each."""
FEW = 10
"""Of the other kinds, in the fast tests."""


def check(kind: Kind, folder: Path, first: int, count: int) -> None:
    faults = run(kind, folder, count, first=first).faults
    assert not faults, "\n".join(f"mutation {number}: {fault}" for number, fault in faults.items())


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if not kind.dear])
def test_only_errors_that_the_user_can_mend_leave(name: str, tmp_path: Path):
    check(KINDS[name], tmp_path / "folder", 0, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_only_such_errors_leave_after_many_mutations(name: str, tmp_path: Path):
    dear = KINDS[name].dear
    check(KINDS[name], tmp_path / "folder", 0 if dear else FEW, DEAR_COUNT if dear else COUNT - FEW)


# The suite itself finds what it looks for


def reading(use, make=lambda file: file.write_text('{"a": [1, 2, 3], "b": {"c": "x"}}')) -> Kind:
    def made(folder: Path) -> Path:
        make(folder / "file")
        return folder / "file"

    return Kind("a file", "json", made, lambda folder: use(folder / "file"))


def test_a_traceback_is_a_fault(tmp_path: Path):
    outcome = run(reading(lambda file: json.loads(file.read_bytes())["a"][2]), tmp_path, 50)
    assert outcome.accepted + len(outcome.faults) == 50
    assert any("JSONDecodeError" in fault for fault in outcome.faults.values())
    assert any("KeyError" in fault for fault in outcome.faults.values())


def test_an_error_of_two_lines_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def use(file: Path) -> None:
        if len(file.read_bytes()) != 33:
            error = UserError("x", "y")
            error.args = ("two\nlines",)
            raise error

    assert "more than one line" in next(iter(run(reading(use), tmp_path, 20).faults.values()))


def test_a_hang_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(campaign, "SECONDS", 1)

    def use(file: Path) -> None:
        try:
            if len(file.read_bytes()) != 33:
                time.sleep(30)
        except Exception:
            pytest.fail("an alarm is no exception that readers catch")

    assert run(reading(use), tmp_path, 1).faults == {0: "took more than 1 seconds"}


def test_taking_memory_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(campaign, "MEMORY_BYTES", 2**25)
    outcome = run(reading(lambda file: bytearray(2**28) if len(file.read_bytes()) != 33 else None), tmp_path, 3)
    assert next(iter(outcome.faults.values())).endswith("bytes of memory")


def test_what_is_read_writes_nothing_that_later_mutations_see(tmp_path: Path):
    def use(file: Path) -> None:
        assert not (file.parent / "left").exists()
        assert (file.parent / "beside").read_text() == "as it was"
        (file.parent / "left").touch()
        (file.parent / "beside").write_text("as it is!")

    def make(file: Path) -> None:
        (file.parent / "beside").write_text("as it was")
        file.write_text("{}")

    kind = reading(lambda file: None, make)
    assert (
        run(Kind(kind.name, kind.structure, kind.make, lambda folder: use(folder / "file")), tmp_path, 5).faults == {}
    )


@pytest.mark.parametrize("structure", sorted({kind.structure for kind in KINDS.values()}))
def test_mutations_are_drawn_from_their_seed_alone(structure, tmp_path: Path):
    kind = next(kind for kind in KINDS.values() if kind.structure == structure and not kind.dear)
    valid = kind.make(tmp_path).read_bytes()
    first, again = ([mutated(valid, structure, Random(seed)) for seed in range(30)] for _ in range(2))
    assert first == again
    assert len(set(first)) > 20
    assert sum(content == valid for content in first) <= 3


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("evaluation.json, for its page", 1238),
        ("comparison.json, for its page", 1522),
        (".npz", 771),
        ("parquet", 705),
        ("parquet", 1268),
        ("manifest.json, for its page", 3047),
        ("metrics.jsonl, for its page", 373),
    ],
)
def test_what_long_campaigns_found_stays_mended(name: str, number: int, tmp_path: Path):
    check(KINDS[name], tmp_path / "folder", number, 1)
