"""Which settings a run may be resumed with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from potstill.distillation.resume import resume_conflicts
from potstill.distillation.settings import Settings
from potstill.methods import DM, MTT, DataDAM, Method

STORED = Settings(method=DM(batch_real=32), seed=7, ipc=3, dataset="digits")


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        (Settings(method=DM()), []),  # nothing but defaults: continue with what is stored
        (Settings(method=DM(), seed=7, ipc=3), []),
        (Settings(method=DM(), seed=8, ipc=4), ["ipc", "seed"]),
        (Settings(method=DM(batch_real=32)), []),
        (Settings(method=DM(batch_real=33)), ["batch_real"]),
        (Settings(method=DM(learning_rate=3.0), seed=8), ["seed", "batch_real", "learning_rate"]),
        (Settings(method=DataDAM()), ["method"]),
    ],
)
def test_conflicts_are_named(asked: Settings[Method], names: list[str]):
    assert resume_conflicts(asked, STORED) == names


def test_a_default_that_was_asked_for_conflicts_too():
    asked = replace(STORED, seed=0, method=DM())
    assert resume_conflicts(asked, STORED) == []
    assert resume_conflicts(asked, STORED, unasked=STORED) == ["seed", "batch_real"]
    assert resume_conflicts(STORED, STORED, unasked=STORED) == []


def test_hyper_parameters_that_were_filled_in_do_not_conflict():
    stored = Settings(method=MTT(experts="e", student_steps=5).resolved(1, "cifar10"), ipc=1, dataset="cifar10")
    assert resume_conflicts(Settings(method=MTT(experts="e", student_steps=5)), stored) == []
    assert resume_conflicts(Settings(method=MTT(experts="e", student_steps=6)), stored) == ["student_steps"]


def test_two_spellings_of_a_folder_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    stored = Settings(method=MTT(experts="made/experts").resolved(10, "pets"), dataset="pets")
    for spelled in ("./made/experts", "made/other/../experts/", str(tmp_path / "made/experts")):
        assert resume_conflicts(Settings(method=MTT(experts=spelled)), stored) == []
    assert resume_conflicts(Settings(method=MTT(experts="made/others")), stored) == ["experts"]
    assert resume_conflicts(Settings(method=MTT(experts="made/experts"), dataset=str(tmp_path / "pets")), stored) == []
    asked = replace(stored, dataset="other/pets")
    assert resume_conflicts(asked, stored, unasked=stored) == ["dataset"]
