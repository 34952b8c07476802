"""Safetensors files: what is written is read again, and equal contents give equal bytes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from potstill.runtime import safetensors_io
from potstill.runtime.safetensors_io import (
    UNREADABLE,
    content_sha256,
    pack,
    read_header,
    read_safetensors,
    with_metadata,
)

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
    assert read_safetensors(file, choose=lambda name: name.startswith("1."))[0].keys() == {"1.weight", "1.bias"}


def test_names_are_read_without_the_tensors(file: Path):
    declared, metadata = read_header(file)
    assert {name: entry.shape for name, entry in declared.items()} == {n: tuple(t.shape) for n, t in TENSORS.items()}
    assert [str(entry) for entry in declared.values()] == ["int64 (1,)", "float32 (2, 3)", "float32 (2,)"]
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
@pytest.mark.parametrize("read", [read_safetensors, read_header])
def test_other_files_are_unreadable(content: bytes, read, tmp_path: Path):
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(UNREADABLE):
        read(tmp_path / "bad")


def test_the_hash_is_of_everything():
    texts = {"format": "test"}
    changed = [
        ({**TENSORS, "1.bias": torch.ones(1).long()}, texts),
        ({**TENSORS, "1.bias": torch.zeros(1).int()}, texts),
        ({**TENSORS, "10.weight": torch.ones(2, 1)}, texts),
        ({**TENSORS, "2.bias": torch.zeros(0)}, texts),
        (TENSORS, {"format": "other"}),
    ]
    hashes = [content_sha256(tensors, metadata) for tensors, metadata in [(TENSORS, texts), *changed]]
    assert len(set(hashes)) == len(hashes)
    assert content_sha256(dict(reversed(TENSORS.items())), texts) == hashes[0]


def test_every_type_and_shape_comes_back(tmp_path: Path):
    tensors = {
        "scalar": torch.tensor(2.5),
        "empty": torch.empty(0, 3),
        "truth": torch.tensor([True, False]),
        "half": torch.randn(5).half(),
        "brain": torch.randn(2, 3).bfloat16(),
        "double": torch.randn(3).double(),
        **{str(kind): torch.arange(3).to(kind) for kind in (torch.int8, torch.uint8, torch.int16, torch.int32)},
    }
    save_file(tensors, tmp_path / "file")
    read, metadata = read_safetensors(tmp_path / "file")
    assert metadata == {}
    assert list(read) == sorted(tensors)
    for name, tensor in tensors.items():
        assert (read[name].dtype, read[name].shape) == (tensor.dtype, tensor.shape)
        assert torch.equal(read[name], tensor)
    with pytest.raises(SafetensorError, match="'brain' has the type BF16, which NumPy lacks"):
        read_safetensors(tmp_path / "file", "np")


def with_header(header: Any, data: bytes = bytes(8)) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def declared(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"x": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (with_header([]), "the header is not an object"),
        (with_header(b"[" * 100_000), "64 levels deep"),
        (with_header(b'{"x": 1, "x": 2}'), "'x' appears twice"),
        (with_header({"__metadata__": {"format": 1}}, b""), "metadata contain something other than text"),
        (with_header({"__metadata__": []}, b""), "metadata contain something other than text"),
        (with_header({"x": {"dtype": "F32", "shape": [2]}}), "not declared by"),
        (with_header(declared(dtype="F4")), "unknown type 'F4'"),
        (with_header(declared(dtype=["F32"])), "unknown type"),
        (with_header(declared(shape=[2**40, 2**20])), "impossible shape"),
        (with_header(declared(shape=[0, 2**62], offsets=[0, 0])), "impossible shape"),
        (with_header(declared(shape=[1] * 1000 + [2])), "impossible shape"),
        (with_header(declared(shape=[-2])), "impossible shape"),
        (with_header(declared(shape=[2.0])), "impossible shape"),
        (with_header(declared(shape=[3])), "8 bytes, which do not fit F32"),
        (with_header(declared(offsets=[0])), "malformed offsets"),
        (with_header(declared(offsets=[8, 16])), "does not begin where"),
        (with_header(declared(shape=[2**38], offsets=[0, 2**40])), "end at byte 1,099,511,627,8.*, the file at"),
        (with_header(declared(), bytes(9)), "the file at byte"),
        (with_header(declared("BOOL", [8]), bytes([0, 1, 2, 0, 0, 0, 0, 0])), "truth values other than"),
        ((2**62).to_bytes(8, "little") + bytes(8), "it has no header"),
        (bytes([99]) + bytes(15), "the header is longer than the file"),
    ],
)
def test_a_header_that_does_not_fit_its_file_is_refused(content: bytes, problem: str, tmp_path: Path):
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(SafetensorError, match=problem):
        read_safetensors(tmp_path / "bad")


def test_tensors_larger_than_the_memory_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: Path):
    monkeypatch.setattr(safetensors_io, "memory_bytes", lambda: 20)
    with pytest.raises(SafetensorError, match="more than the memory of this machine"):
        read_safetensors(file)
    assert read_safetensors(file, choose=lambda name: name.startswith("10."))[0].keys() == {"10.weight"}


def test_a_pipe_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    for read in (read_safetensors, read_header):
        with pytest.raises(OSError, match="a named pipe, not a regular file"):
            read(tmp_path / "pipe")
