"""Device, precision and compilation: what ``auto`` becomes."""

from __future__ import annotations

from typing import Literal

import pytest
import torch

from potstill.runtime import compute
from potstill.runtime.compute import CPU, Compute, resolve_compute, resolve_device
from potstill.runtime.compute_choice import ComputeChoice, Precision
from potstill.runtime.errors import UserError


@pytest.fixture
def fast_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose CPU gains from both."""
    monkeypatch.setattr(compute, "supports_fast_bfloat16", lambda device: device.type == "cpu")
    monkeypatch.setattr(compute, "supports_compilation", lambda device: device.type == "cpu")


@pytest.fixture
def plain_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose CPU gains from neither."""
    monkeypatch.setattr(compute, "supports_fast_bfloat16", lambda device: False)
    monkeypatch.setattr(compute, "supports_compilation", lambda device: False)


@pytest.mark.parametrize(
    ("present", "chosen"),
    [((), "cpu"), (("cuda",), "cuda"), (("mps",), "mps"), (("cuda", "mps"), "cuda")],
)
def test_auto_takes_an_accelerator_where_there_is_one(
    present: tuple[str, ...], chosen: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in present)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in present)
    assert resolve_device("auto").type == chosen


def test_a_named_device_is_taken():
    assert resolve_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda:99", "toaster", "", "cpu:x"])
def test_an_absent_device_is_the_users_to_mend(name: str):
    with pytest.raises(UserError, match=rf"device '{name}' cannot be used here; use `device=auto`"):
        resolve_device(name)


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("float32", torch.float32), ("bfloat16", torch.bfloat16), ("float64", torch.float64)],
)
def test_the_dtype_is_the_precision(precision: Literal["float32", "bfloat16", "float64"], dtype: torch.dtype):
    assert Compute(torch.device("cpu"), precision).dtype == dtype


def test_the_plain_choice_is_float32_uncompiled():
    assert Compute(torch.device("cpu"), "float32", compile=False) == CPU


@pytest.mark.usefixtures("fast_cpu")
def test_a_short_run_takes_no_chances():
    assert resolve_compute("cpu", long_run=False) == CPU


@pytest.mark.usefixtures("fast_cpu")
def test_a_long_run_takes_what_the_hardware_gains_from():
    assert resolve_compute("cpu", long_run=True) == Compute(torch.device("cpu"), "bfloat16", compile=True)


@pytest.mark.usefixtures("plain_cpu")
def test_a_long_run_takes_nothing_that_the_hardware_loses_by():
    assert resolve_compute("cpu", long_run=True) == CPU


@pytest.mark.usefixtures("fast_cpu")
@pytest.mark.parametrize("long_run", [True, False])
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float64"])
def test_what_was_asked_for_is_taken(precision: Precision, long_run: bool):
    assert resolve_compute("cpu", precision, "off", long_run=long_run) == Compute(
        torch.device("cpu"), precision if precision != "auto" else "float32", compile=False
    )
    assert resolve_compute("cpu", precision, "on", long_run=long_run).compile


@pytest.mark.usefixtures("plain_cpu")
def test_compilation_that_cannot_be_had_is_said_at_once():
    with pytest.raises(UserError, match=r"compilation needs a C\+\+ compiler .*; install g\+\+"):
        resolve_compute("cpu", compilation="on")


@pytest.mark.parametrize(
    ("compilers", "supported"), [((), False), (("g++",), True), (("clang++",), True), (("gcc",), False)]
)
def test_a_cpu_compiles_with_a_cpp_compiler(
    compilers: tuple[str, ...], supported: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(compute.shutil, "which", lambda name: f"/usr/bin/{name}" if name in compilers else None)
    assert compute.supports_compilation(torch.device("cpu")) is supported


def test_a_device_that_is_neither_gains_from_nothing():
    assert not compute.supports_compilation(torch.device("meta"))
    assert not compute.supports_fast_bfloat16(torch.device("meta"))


@pytest.mark.parametrize(
    ("vendor", "flags", "fast"),
    [
        ("GenuineIntel", "fma avx512f", False),
        ("GenuineIntel", "fma avx512f avx512_bf16", False),
        ("GenuineIntel", "fma avx512f avx512_bf16 amx_tile amx_bf16", True),
        ("AuthenticAMD", "fma avx2", False),
        ("AuthenticAMD", "fma avx512f avx512_bf16", True),
    ],
)
def test_a_cpu_is_fast_in_bfloat16_only_where_it_multiplies_it_faster(
    vendor: str, flags: str, fast: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(compute, "processor_facts", lambda: {"vendor_id": vendor, "flags": flags})
    assert compute.supports_fast_bfloat16(torch.device("cpu")) is fast


def test_an_unknown_cpu_is_not_fast_in_bfloat16(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compute, "processor_facts", dict)
    assert not compute.supports_fast_bfloat16(torch.device("cpu"))


def test_a_gpu_that_emulates_bfloat16_is_not_fast_in_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert not compute.supports_fast_bfloat16(torch.device("cuda"))


def test_a_choice_is_settled_as_its_parts_are():
    choice = ComputeChoice(device="cpu", precision="float64", compile="off")
    assert compute.settled(choice, long_run=True) == resolve_compute("cpu", "float64", "off", long_run=True)
    assert compute.settled(choice, long_run=False).precision == "float64"
