"""Which settings a run may be resumed with."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from potstill.distillation.run_folder import resume_conflicts
from potstill.distillation.settings import Settings
from potstill.methods import DM, MTT, DataDAM, Method
from potstill.runtime.errors import UserError

STORED = Settings(method=DM(batch_real=32).resolved(3), seed=7, ipc=3, dataset="digits")


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        (Settings(method=DM()), []),  # nothing but defaults: continue with what is stored
        (Settings(method=DM(), seed=7, ipc=3), []),
        (Settings(method=DM(), seed=8, ipc=4), ["ipc", "seed"]),
        (Settings(method=DM(batch_real=32)), []),
        (Settings(method=DM(batch_real=33)), ["batch_real"]),
        (Settings(method=DM(), formation=2), ["formation"]),
        (Settings(method=DM(batch_real=32, optimiser="adam")), ["optimiser", "learning_rate"]),
        (Settings(method=DM(learning_rate=3.0), seed=8), ["seed", "batch_real", "learning_rate"]),
        (Settings(method=DataDAM()), ["method"]),
    ],
)
def test_conflicts_are_named(asked: Settings[Method], names: list[str]):
    assert list(resume_conflicts(asked, STORED)) == names


def test_conflicts_have_both_values():
    asked = Settings(method=DM(batch_real=33), seed=8)
    assert resume_conflicts(asked, STORED) == {"seed": (7, 8), "batch_real": (32, 33)}
    assert resume_conflicts(Settings(method=DataDAM()), STORED) == {"method": ("dm", "datadam")}


def test_a_default_that_was_asked_for_conflicts_too():
    asked = replace(STORED, seed=0, method=DM().resolved(3))
    assert resume_conflicts(replace(asked, method=DM()), STORED) == {}
    assert list(resume_conflicts(asked, STORED, unasked=STORED)) == ["seed", "batch_real"]
    assert resume_conflicts(STORED, STORED, unasked=STORED) == {}


def test_hyper_parameters_that_were_filled_in_do_not_conflict():
    stored = Settings(method=MTT(experts="e", student_steps=5).resolved(1, "cifar10"), ipc=1, dataset="cifar10")
    assert resume_conflicts(Settings(method=MTT(experts="e", student_steps=5)), stored) == {}
    assert list(resume_conflicts(Settings(method=MTT(experts="e", student_steps=6)), stored)) == ["student_steps"]


def test_two_spellings_of_a_folder_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    stored = Settings(method=MTT(experts="made/experts").resolved(10, "pets"), dataset="pets")
    for spelled in ("./made/experts", "made/other/../experts/", str(tmp_path / "made/experts")):
        assert resume_conflicts(Settings(method=MTT(experts=spelled)), stored) == {}
    assert list(resume_conflicts(Settings(method=MTT(experts="made/others")), stored)) == ["experts"]
    assert resume_conflicts(Settings(method=MTT(experts="made/experts"), dataset=str(tmp_path / "pets")), stored) == {}
    asked = replace(stored, dataset="other/pets")
    assert list(resume_conflicts(asked, stored, unasked=stored)) == ["dataset"]


def test_a_folder_is_not_the_catalogues_dataset_of_that_name():
    asked = replace(STORED, dataset="./digits")
    assert list(resume_conflicts(asked, STORED, unasked=STORED)) == ["dataset"]


@dataclass(frozen=True, kw_only=True)
class Listed(DM):
    """A method whose hyper-parameters have factories and are tuples."""

    parts: tuple[float, ...] = field(default_factory=lambda: (1.0, 2.0))


def test_a_default_from_a_factory_was_not_asked_for():
    stored = Settings(method=Listed(learning_rate=0.2))
    assert resume_conflicts(Settings(method=Listed()), stored) == {}
    assert list(resume_conflicts(Settings(method=Listed(parts=(1.0, 3.0))), stored)) == ["learning_rate", "parts"]


def test_a_tuple_is_a_list_in_the_file(tmp_path: Path):
    settings = Settings(method=Listed(parts=(0.5, 3.0)))
    path = tmp_path / "config.toml"
    path.write_text(settings.to_toml())
    assert Settings.from_toml(str(path), Listed) == settings
    path.write_text(settings.to_toml().replace("3.0", '"three"'))
    with pytest.raises(UserError, match="parts = "):
        Settings.from_toml(path, Listed)
