"""The doctor: what it says of extras, folders and compilers, and that something broken is an error."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from potstill.cli import main
from potstill.runtime import doctor, doctor_of_pytorch
from potstill.runtime.doctor import Finding, examine
from tests.optional import mend_torchvision


class Message:
    """What a package with one extra says of itself."""

    def get_all(self, name: str) -> list[str]:
        return ["mlflow"]


@pytest.fixture(scope="module", autouse=True)
def importable_timm() -> None:
    mend_torchvision()


def found(what: str) -> Finding:
    return next(each for each in examine() if each.what == what)


def breaking(monkeypatch: pytest.MonkeyPatch, module: str, error: Exception) -> None:
    """Let the import of one module end in an error."""
    real = importlib.import_module

    def broken(name: str) -> object:
        if name == module:
            raise error
        return real(name)

    monkeypatch.setattr(doctor.importlib, "import_module", broken)


def test_every_extra_is_examined_and_nothing_is_broken_here():
    findings = {each.what: each for each in examine()}
    assert {"extra private", "extra dask", "extra slurm"} <= findings.keys()
    assert all(findings[f"extra {name}"].verdict == "good" for name in ("private", "dask", "slurm"))
    assert findings["speed"].found.split()[0].replace(",", "").isdigit()


def test_a_broken_extra_is_an_error_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    breaking(monkeypatch, "submitit", ImportError("no symbol of\nthat name"))
    assert found("extra slurm").verdict == "broken"
    assert "no symbol of" in found("extra slurm").found
    assert main(["doctor"]) == 2
    said = capsys.readouterr()
    assert "BROKEN" in said.out
    assert said.err.splitlines()[-1] == "potstill: 1 broken: extra slurm; pip install --force-reinstall submitit"


def test_a_torchvision_of_another_pytorch_is_not_mended_by_installing_timm_again(monkeypatch: pytest.MonkeyPatch):
    breaking(monkeypatch, "timm", RuntimeError("operator torchvision::nms does not exist"))
    assert found("extra timm").remedy == "install the torchvision that belongs to your PyTorch"


def test_a_package_whose_module_has_another_name_is_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "version", lambda package: "3")
    asked: list[str] = []
    monkeypatch.setattr(doctor.importlib, "import_module", asked.append)
    monkeypatch.setattr(doctor, "requires", lambda name: ["mlflow-skinny>=3; extra == 'mlflow'"])
    monkeypatch.setattr(doctor, "metadata", lambda name: Message())
    assert found("extra mlflow") == Finding("extra mlflow", "mlflow-skinny 3")
    assert asked == ["mlflow"]


def test_a_missing_extra_is_no_error(monkeypatch: pytest.MonkeyPatch):
    def absent(name: str) -> str:
        raise doctor.PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "version", absent)
    assert found("extra dask") == Finding(
        "extra dask", "distributed is not installed", "note", "pip install 'potstill[dask]' if you need it"
    )


def declared(monkeypatch: pytest.MonkeyPatch, *lines: str, versions: dict[str, str]) -> None:
    """Potstill asks for these packages, one extra included, and these versions are installed."""

    def installed(package: str) -> str:
        if package not in versions:
            raise doctor.PackageNotFoundError(package)
        return versions[package]

    monkeypatch.setattr(doctor, "requires", lambda name: list(lines))
    monkeypatch.setattr(doctor, "metadata", lambda name: Message())
    monkeypatch.setattr(doctor, "version", installed)
    monkeypatch.setattr(doctor.importlib, "import_module", lambda name: None)


def test_an_extra_that_is_too_old_is_told(monkeypatch: pytest.MonkeyPatch):
    declared(monkeypatch, "mlflow-skinny>=3.17; extra == 'mlflow'", versions={"mlflow-skinny": "3.9"})
    assert found("extra mlflow") == Finding(
        "extra mlflow",
        "mlflow-skinny 3.9 is present, but older than 3.17",
        "note",
        "pip install --upgrade 'mlflow-skinny>=3.17'",
    )


def test_what_is_always_needed_is_there_in_the_versions_that_are_asked_for(monkeypatch: pytest.MonkeyPatch):
    assert found("packages").verdict == "good"
    lines = ("numpy>=1.26", "rich!=14.0", "torch>=2.9", "pywin32>=300; sys_platform == 'win32'")
    fit = {"numpy": "2.0rc1", "rich": "13.9", "torch": "2.13.0+cpu"}
    declared(monkeypatch, *lines, "dask>=9; extra == 'mlflow'", versions=fit)
    assert found("packages").found == "3, all in the required versions"
    declared(monkeypatch, *lines, versions={"numpy": "1.20", "rich": "14.0"})
    assert [each for each in examine() if each.what == "packages"] == [
        Finding(
            "packages", "numpy 1.20 is present, but older than 1.26", "note", "pip install --upgrade 'numpy>=1.26'"
        ),
        Finding(
            "packages", "rich 14.0 is present, but !=14.0 is required", "note", "pip install --upgrade 'rich!=14.0'"
        ),
        Finding("packages", "torch is not installed", "broken", "pip install --upgrade 'torch>=2.9'"),
    ]


def test_local_data_and_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "mnist").mkdir()
    monkeypatch.setenv("POTSTILL_DATA", str(tmp_path))
    assert found("local data").found == f"{tmp_path}: mnist"
    monkeypatch.setenv("POTSTILL_DATA", str(tmp_path / "absent"))
    assert found("local data").verdict == "broken"
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert found("cache").verdict == "broken"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10})())
    assert found("cache").verdict == "note"


def test_a_machine_without_compiler_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor_of_pytorch, "supports_compilation", lambda device: False)
    assert "install g++" in found("compiler").remedy


WITHOUT = """
import sys
from potstill.cli import main

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
sys.exit(main(sys.argv[1:]))
"""
"""A command in a Python that has no PyTorch."""


def in_another_process(*words: str, path: Path | None = None) -> tuple[int, str, str]:
    """The exit code, output and errors of Python with these arguments; ``path`` comes first where it looks."""
    where = {} if path is None else {"PYTHONPATH": os.pathsep.join([str(path), *sys.path])}
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, env=os.environ | where)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def quick_extras(tmp_path: Path) -> Path:
    """A folder of modules that stand for packages whose import takes seconds, but which are not the point."""
    for name in ("mlflow", "wandb", "dp_accounting", "alembic", "sqlalchemy"):
        (tmp_path / f"{name}.py").touch()
    return tmp_path


def test_without_pytorch_all_the_rest_is_examined(quick_extras: Path):
    code, out, errors = in_another_process("-c", WITHOUT, "doctor", path=quick_extras)
    assert (code, errors.splitlines()[-1]) == (2, "potstill: 1 broken: PyTorch; pip install torch")
    assert "not installed" in out
    assert all(what in out for what in ("processor", "memory", "packages", "extra dask", "cache", "local data"))
    assert "torch is not installed" not in out, "it is said once"


def test_a_pytorch_that_cannot_be_imported_is_broken(quick_extras: Path):
    (quick_extras / "torch.py").write_text("raise OSError('libcudart.so.12 is absent')")
    code, out, errors = in_another_process("-m", "potstill", "doctor", path=quick_extras)
    assert code == 2
    assert "libcudart" in out
    assert errors.splitlines()[-1] == "potstill: 1 broken: PyTorch; pip install --force-reinstall torch"


def test_other_commands_say_in_one_line_what_is_missing():
    code, _, errors = in_another_process("-c", WITHOUT, "distill", "dm", "--ipc", "1")
    said = "the module torch is missing; install its package: potstill doctor says which are missing"
    assert (code, errors) == (2, f"potstill: {said}\n")


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str]):
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "processor" in said
    assert "GFLOP/s" in said
