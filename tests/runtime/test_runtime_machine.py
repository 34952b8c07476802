"""What a figure was measured on."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from pathlib import Path

import pytest
import torch

from potstill.runtime import machine

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
    assert machine.describe_machine()["accelerator"] == "A Big One"


def test_the_processor_is_named_even_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError

    monkeypatch.setattr(Path, "read_text", refuse)
    assert machine.processor_name() == (platform.processor() or platform.machine())


def test_the_version_is_the_installed_one(monkeypatch: pytest.MonkeyPatch):
    assert machine.package_version() == importlib.metadata.version("potstill")

    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(machine, "version", absent)
    assert machine.package_version() == "unknown"


@pytest.mark.skipif(not STATUS.exists(), reason="the system has no record to compare with")
def test_peak_memory_is_in_bytes():
    kept = torch.ones(8_000_000)  # keeps the peak from being that of an early import
    high_water = next(int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    assert machine.peak_memory_bytes(torch.device("cpu")) == pytest.approx(high_water * 1024, rel=0.05)
    assert machine.peak_memory_bytes(torch.device("cpu")) > kept.nbytes


def test_peak_memory_of_a_gpu_is_its_allocators(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 1000 + device.index)
    assert machine.peak_memory_bytes(torch.device("cuda", 1)) == 1001
