"""What a figure was measured on."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from potstill.runtime import machine

ROOT = Path(__file__).parents[2]
STATUS = Path("/proc/self/status")


def test_describes_processor_system_and_versions():
    described = machine.describe_machine()
    assert described["system"] == f"{platform.system()} {platform.release()}"
    assert described["python"] == platform.python_version()
    assert described["torch"] == torch.__version__
    assert described["processor"] == machine.processor_name() != ""
    assert 1 <= int(described["cores"]) <= (os.cpu_count() or 1)


def test_the_description_can_be_stored():
    described = machine.describe_machine()
    assert json.loads(json.dumps(described)) == described


def test_names_the_accelerator_where_there_is_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert machine.describe_machine()["accelerator"] == "none"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "A Big One")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    assert machine.describe_machine()["accelerator"] == "A Big One", "this one knows no TF32"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 0))
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    assert machine.describe_machine()["accelerator"] == "A Big One"
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    assert machine.describe_machine()["accelerator"] == "A Big One with TF32 in convolutions of float32"


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({"model name": "AMD EPYC", "cpu family": "26", "model": "2"}, "AMD EPYC (family 26, model 2)"),
        ({"model name": "Cortex"}, "Cortex"),
    ],
)
def test_the_processor_is_named_with_its_generation(monkeypatch: pytest.MonkeyPatch, facts: dict[str, str], name: str):
    monkeypatch.setattr(machine, "processor_facts", lambda: facts)
    assert machine.processor_name() == name


def test_the_processor_is_named_even_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError

    monkeypatch.setattr(Path, "read_text", refuse)
    assert machine.processor_name() == (platform.processor() or platform.machine())


@pytest.fixture
def unknown_version() -> Iterator[None]:
    """The version is found out once: forget it, before and after."""
    machine.package_version.cache_clear()
    yield
    machine.package_version.cache_clear()


@pytest.mark.usefixtures("unknown_version")
def test_the_version_is_the_installed_one_and_the_commit_of_a_checkout(monkeypatch: pytest.MonkeyPatch):
    released, commit = importlib.metadata.version("potstill"), machine._commit(ROOT)
    assert machine.package_version() == (f"{released}+{commit}" if commit else released)


@pytest.mark.usefixtures("unknown_version")
def test_outside_a_checkout_the_version_stands_alone(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine, "_commit", lambda root: "")
    assert machine.package_version() == importlib.metadata.version("potstill")


@pytest.mark.usefixtures("unknown_version")
def test_a_package_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch):
    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(machine, "version", absent)
    assert machine.package_version() == "unknown"


def test_a_commit_is_told_of_this_repository_alone(tmp_path: Path):
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    assert machine._commit(tmp_path) == "", "somebody else's repository"
    (tmp_path / "src" / "potstill").mkdir(parents=True)
    assert machine._commit(tmp_path) == "", "no commit yet"
    (tmp_path / "file").touch()
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e"]
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "first"], check=True)
    clean = machine._commit(tmp_path)
    assert re.fullmatch("[0-9a-f]{8,}", clean)
    (tmp_path / "file").write_text("changed")
    assert machine._commit(tmp_path) == f"{clean}-dirty"


@pytest.mark.skipif(not STATUS.exists(), reason="the system has no record to compare with")
def test_peak_memory_is_in_bytes():
    kept = torch.ones(8_000_000)  # keeps the peak from being that of an early import
    high_water = next(int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    assert machine.peak_memory_bytes(torch.device("cpu")) == pytest.approx(high_water * 1024, rel=0.05)
    assert machine.peak_memory_bytes(torch.device("cpu")) > kept.nbytes


def test_peak_memory_of_a_gpu_is_its_allocators(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 1000 + device.index)
    assert machine.peak_memory_bytes(torch.device("cuda", 1)) == 1001


def test_a_system_that_does_not_tell_its_memory_is_no_mistake(monkeypatch: pytest.MonkeyPatch):
    def absent(path: Path) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", absent)
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows
    assert machine.peak_memory_bytes(torch.device("cpu")) == 0
