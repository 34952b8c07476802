"""Safetensors files: what is written is read again, and equal contents give equal bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from potstill.runtime.safetensors_io import UNREADABLE, pack, read_safetensors, tensor_names, with_metadata

TENSORS = {"1.weight": torch.arange(6.0).reshape(2, 3), "10.weight": torch.ones(2), "1.bias": torch.zeros(1).long()}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(pack(TENSORS, {"format": "test", "about": "nothing"}))
    return tmp_path / "file"


def test_tensors_and_metadata_come_back(file: Path):
    tensors, metadata = read_safetensors(file)
    assert metadata == {"format": "test", "about": "nothing"}
    assert tensors.keys() == TENSORS.keys()
    assert all(tensors[name].dtype == TENSORS[name].dtype for name in TENSORS)
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


def test_arrays_are_read_as_arrays(file: Path):
    arrays, _ = read_safetensors(file, "np")
    assert isinstance(arrays["1.weight"], np.ndarray)
    assert pack(arrays, {}) == pack(TENSORS, {})


def test_a_prefix_chooses_among_the_tensors(file: Path):
    assert read_safetensors(file, prefix="1.")[0].keys() == {"1.weight", "1.bias"}


def test_names_are_read_without_the_tensors(file: Path):
    names, metadata = tensor_names(file)
    assert set(names) == TENSORS.keys()
    assert metadata["format"] == "test"


def test_metadata_have_one_order():
    ordered = pack(TENSORS, {"a": "1", "b": "2"})
    assert ordered == pack(TENSORS, {"b": "2", "a": "1"})
    assert ordered.index(b'"a":"1"') < ordered.index(b'"b":"2"')


def test_metadata_are_replaced_and_nothing_else(file: Path, tmp_path: Path):
    (tmp_path / "other").write_bytes(with_metadata(file.read_bytes(), {"only": "this"}))
    tensors, metadata = read_safetensors(tmp_path / "other")
    assert metadata == {"only": "this"}
    assert pack(tensors, {}) == pack(TENSORS, {})


@pytest.mark.parametrize("content", [b"", b"nonsense", pack(TENSORS, {})[:-1]])
@pytest.mark.parametrize("read", [read_safetensors, tensor_names])
def test_other_files_are_unreadable(content: bytes, read, tmp_path: Path):
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(UNREADABLE):
        read(tmp_path / "bad")
