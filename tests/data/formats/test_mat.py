"""MATLAB files: plain numbers come back, everything else is left alone."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from potstill.data.formats.mat import read_mat
from potstill.runtime.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 4, 3, 5), dtype=np.uint8)


def written(path: Path, *, compressed: bool = False) -> Path:
    savemat(path, {"X": PIXELS, "y": np.arange(5)[:, None], "note": "text", "s": {"a": 1}}, do_compression=compressed)
    return path


@pytest.mark.parametrize("compressed", [True, False])
def test_plain_numbers_come_back(tmp_path: Path, compressed: bool):
    read = read_mat(written(tmp_path / "train_32x32.mat", compressed=compressed))
    assert set(read) == {"X", "y"}
    assert read["X"].dtype == np.uint8
    np.testing.assert_array_equal(read["X"], PIXELS)
    assert set(read_mat(tmp_path / "train_32x32.mat", ("y", "z"))) == {"y"}


def test_version_7_3_is_named(tmp_path: Path):
    path = tmp_path / "new.mat"
    path.write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + b"\x89HDF\r\n\x1a\n")
    with pytest.raises(UserError, match=r"version 7\.3.*-v7"):
        read_mat(path)


def test_a_claimed_shape_costs_nothing(tmp_path: Path):
    path = written(tmp_path / "claims.mat")
    dimensions = np.array([4, 4, 3, 5], "<i4").tobytes()
    claimed = np.array([2**30, 2**30, 3, 5], "<i4").tobytes()
    content = path.read_bytes()
    assert dimensions in content
    path.write_bytes(content.replace(dimensions, claimed))
    with pytest.raises(UserError, match=r"claims\.mat.*cannot hold"):
        read_mat(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + b"\x0e" * 40])
def test_damage_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "bad.mat").write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.mat"):
        read_mat(tmp_path / "bad.mat")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=4), st.booleans())
def test_changed_bytes_raise_nothing_but_user_errors(tmp_path: Path, place: int, change: bytes, compressed: bool):
    path = written(tmp_path / "fuzzed.mat", compressed=compressed)
    content = bytearray(path.read_bytes())
    place %= len(content)
    content[place : place + len(change)] = change
    path.write_bytes(content)
    with contextlib.suppress(UserError):
        read_mat(path)
