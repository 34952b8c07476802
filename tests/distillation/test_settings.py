"""Settings: defaults, and the TOML file that repeats a run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from potstill.distillation import distill
from potstill.distillation.settings import Settings, method_of
from potstill.methods import DM, METHODS, DataDAM, Method, Random
from potstill.runtime.errors import UserError


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return path


def test_what_is_of_another_kind_is_refused():
    with pytest.raises(UserError, match="'dm' is not a method with its settings"):
        Settings(method="dm")  # type: ignore[type-var]
    with pytest.raises(UserError, match="DM'> is not a method with its settings"):
        distill(DM)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="`ipc='1'` is not a number"):
        Settings(method=DM(), ipc="1")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="`time_limit='10m'` is not a number"):
        distill(DM(), time_limit="10m")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", METHODS)
def test_toml_round_trip_of_defaults(name: str, tmp_path: Path):
    settings = Settings(method=METHODS[name]())
    assert Settings.from_toml(written(tmp_path, settings.to_toml())) == settings


methods = st.one_of(
    st.builds(DM, batch_real=st.integers(1, 999), learning_rate=st.floats(1e-9, 1e9), augment=st.booleans()),
    st.builds(
        DataDAM, power=st.floats(0.1, 9), follow_released_code=st.booleans(), network_iterations=st.integers(1, 50)
    ),
    st.just(Random()),
)
any_settings = st.builds(
    Settings,
    method=methods,
    dataset=st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=20),
    ipc=st.integers(1, 1000),
    start=st.sampled_from(["real", "noise", None]),
    iterations=st.none() | st.integers(0, 10**6),
    seed=st.integers(0, 2**62),
    precision=st.sampled_from(["auto", "float32", "bfloat16", "float64"]),
    compile=st.sampled_from(["auto", "on", "off"]),
    validate_every=st.none() | st.integers(0, 10**6),
    image_size=st.none() | st.integers(1, 512),
    zca=st.booleans(),
    label_column=st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=20),
    split_map=st.none() | st.just("train=fold1,test=fold2"),
)


@pytest.mark.slow
@given(settings=any_settings)
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
def test_toml_round_trip_of_anything(settings: Settings[Method], tmp_path: Path):
    assert Settings.from_toml(written(tmp_path, settings.to_toml())) == settings


def test_toml_is_flat_with_a_table_for_the_method():
    lines = Settings(method=DM(batch_real=32), ipc=5).to_toml().splitlines()
    assert "ipc = 5" in lines
    assert lines[lines.index("[method]") + 1] == 'name = "dm"'
    assert "batch_real = 32" in lines[lines.index("[method]") :]


def test_whole_numbers_will_do_for_fractions(tmp_path: Path):
    path = written(tmp_path, '[method]\nname = "dm"\nlearning_rate = 10\n')
    assert Settings.from_toml(path).method == DM(learning_rate=10)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "ipc = 1",
            r"config\.toml names no method; add a table \[method\] with name = one of dd, ld, dc, dsa, frepo, idc",
        ),
        ('method = "dm"', "names no method"),
        ("[method]\nbatch_real = 3", "names no method"),
        ('[method]\nname = "dataam"', r"unknown method 'dataam'; did you mean 'datadam'\? see potstill list methods"),
        ('ipcs = 1\n[method]\nname = "dm"', r"unknown setting 'ipcs'; did you mean 'ipc'\? see .*config\.toml"),
        ('[method]\nname = "dm"\nbatch_reel = 3', r"unknown setting 'batch_reel'; did you mean 'batch_real'\?"),
        ('ipc = "many"\n[method]\nname = "dm"', r"config\.toml: ipc = 'many' is not of type int"),
        ('ipc = 1.5\n[method]\nname = "dm"', r"ipc = 1\.5 is not of type int"),
        ('ipc = true\n[method]\nname = "dm"', "ipc = True is not of type int"),
        ('zca = 1\n[method]\nname = "dm"', "zca = 1 is not of type bool"),
        ('dataset = 3\n[method]\nname = "dm"', "dataset = 3 is not of type str"),
        ('[method]\nname = "dm"\nlearning_rate = "fast"', "learning_rate = 'fast' is not of type float"),
        ('[method]\nname = "dm"\naugment = "no"', "augment = 'no' is not of type bool"),
        ('iterations = "many"\n[method]\nname = "dm"', "iterations = 'many' is not of type int"),
        ('image_size = 2.5\n[method]\nname = "dm"', r"image_size = 2\.5 is not of type int"),
        ('start = "nois"\n[method]\nname = "dm"', "start = 'nois' is not one of real, noise"),
        ('precision = "float16"\n[method]\nname = "dm"', "precision = 'float16' is not one of auto, "),
        ('compile = "maybe"\n[method]\nname = "dm"', "compile = 'maybe' is not one of auto, on, off; correct it there"),
        ('ipc = 0\n[method]\nname = "dm"', r"config\.toml: ipc=0 is too small; correct it there"),
        ("ipc = ", r"config\.toml is not valid TOML: .*; correct it there"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(text: str, message: str, tmp_path: Path):
    with pytest.raises(UserError, match=message) as error:
        Settings.from_toml(written(tmp_path, text))
    assert "\n" not in str(error.value)


def test_an_absent_or_binary_file_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"cannot read .*none\.toml: No such file or directory; check the path"):
        Settings.from_toml(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"binary\.toml is not valid TOML"):
        Settings.from_toml(tmp_path / "binary.toml")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"ipc": 0}, "`ipc=1` or more"),
        ({"ipc": -1}, "`ipc=1` or more"),
        ({"iterations": -1}, "`iterations=0` or more"),
        ({"validate_every": -1}, "`validate_every=0` or more"),
        ({"image_size": 0}, "`image_size=1` or more"),
    ],
)
def test_impossible_values_are_refused(wrong: dict[str, Any], message: str):
    with pytest.raises(UserError, match=message):
        Settings(method=DM(), **wrong)


@dataclass(frozen=True, kw_only=True)
class Unchecked(DM):
    """A method that checks none of its own settings."""

    warmth: float = 1.0


@pytest.mark.parametrize("value", [float("inf"), float("nan"), -float("inf")])
def test_no_method_runs_with_a_setting_that_is_not_finite(value: float):
    with pytest.raises(UserError, match=r"`warmth=.*` is not a finite number; use a finite value"):
        Settings(method=Unchecked(warmth=value))


def test_settings_are_values():
    settings = Settings(method=DM())
    assert replace(settings, seed=0) == settings
    assert hash(settings) == hash(Settings(method=DM()))


def test_a_method_is_named_with_its_settings():
    assert method_of("dm") == DM()
    assert method_of("dm:batch_real=64:learning_rate=10:augment=false") == DM(
        batch_real=64, learning_rate=10, augment=False
    )
    assert method_of("dm:optimiser=adam") == DM(optimiser="adam")
    assert method_of("potstill.methods.distribution.dm:DM:batch_real=3") == DM(batch_real=3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dmm:batch_real=64", "unknown method 'dmm'"),
        ("dm:batch=64", "unknown setting 'batch'"),
        ("dm:batch_real=many", "batch_real = 'many' is not of type int"),
        ("dm:batch_real=1.5", "batch_real = 1.5 is not of type int"),
        ("dm:batch_real=0", "`batch_real=0` is too small"),
    ],
)
def test_settings_that_a_method_has_not_are_refused(text: str, message: str):
    with pytest.raises(UserError, match=message):
        method_of(text)
