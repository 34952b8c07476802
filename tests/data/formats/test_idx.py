"""Idx files as MNIST is published, plain and gzipped, and what damages them."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from potstill.data.formats.idx import read_idx
from potstill.runtime.errors import UserError

IMAGES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)


def idx(values: np.ndarray, kind: int = 8) -> bytes:
    header = bytes([0, 0, kind, values.ndim]) + b"".join(side.to_bytes(4, "big") for side in values.shape)
    return header + values.tobytes()


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
def test_an_array_comes_back(tmp_path: Path, pack):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(pack(idx(IMAGES)))
    read = read_idx(path)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, IMAGES)


def test_wider_numbers_are_big_endian(tmp_path: Path):
    path = tmp_path / "labels"
    path.write_bytes(idx(np.array([1, 2, 70_000], ">i4"), 0x0C))
    assert read_idx(path).tolist() == [1, 2, 70_000]


def gzipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)  # the same on every worker


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an idx file"),
        (b"\x89PNG\r\n", "not an idx file"),
        (bytes([0, 0, 8, 3, 0, 0]), "within its header"),
        (idx(IMAGES)[:-1], "truncated"),
        (idx(IMAGES) + b"!", "longer"),
        (gzipped(idx(IMAGES)[:-1]), "truncated"),
        (gzipped(idx(IMAGES))[:-12], "cannot read|truncated"),
        (bytes([0, 0, 8, 4]) + b"\xff" * 16, "cannot hold"),
        (gzipped(bytes([0, 0, 8, 4]) + b"\xff" * 16), "cannot hold"),
    ],
)
def test_damage_is_refused(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as refused:
        read_idx(path)
    assert "train-images-idx3-ubyte" in str(refused.value)


def test_absence_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="No such file"):
        read_idx(tmp_path / "gone")
