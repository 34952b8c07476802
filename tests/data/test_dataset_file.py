"""A prepared dataset in a file: it comes back as it was, or is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from potstill.data import load_dataset
from potstill.data.dataset_file import prepared_sha256, read_dataset, write_dataset
from potstill.runtime.errors import UserError
from tests.small import small_digits


def test_a_whitened_dataset_comes_back_whitened(tmp_path: Path):
    data = load_dataset("digits", zca=True)
    write_dataset(data, tmp_path / "data.safetensors")
    found = read_dataset(tmp_path / "data.safetensors")
    assert found.test.normalised().equal(data.test.normalised())
    assert prepared_sha256(found) == prepared_sha256(data)
    assert prepared_sha256(data) != prepared_sha256(load_dataset("digits"))


def test_how_it_was_found_comes_back_too(tmp_path: Path):
    data = load_dataset("digits", image_size=12)
    write_dataset(data, tmp_path / "data.safetensors")
    found = read_dataset(tmp_path / "data.safetensors")
    assert found.record == data.record
    assert (found.spec, found.image_size, found.choices) == ("digits", 12, data.choices)
    assert found.account is not None
    assert found.account == data.account


def test_a_changed_pixel_is_noticed(tmp_path: Path):
    path = tmp_path / "data.safetensors"
    write_dataset(small_digits(), path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="is not a prepared dataset, or has changed"):
        read_dataset(path)


def test_something_else_is_refused(tmp_path: Path):
    (tmp_path / "other").write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be read as a prepared dataset"):
        read_dataset(tmp_path / "other")
    with pytest.raises(UserError, match="cannot be read as a prepared dataset"):
        read_dataset(tmp_path / "absent")
