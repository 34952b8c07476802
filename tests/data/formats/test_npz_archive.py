"""Archives of NumPy: plain numbers come back, and no size that a file claims is believed."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from potstill.data.formats.npz_archive import open_npz
from potstill.runtime.errors import UserError

VALUES = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)


def npy(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def read(path: Path, content: bytes, method: int = zipfile.ZIP_DEFLATED, name: str = "x.npy") -> np.ndarray:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(name, content)
    with open_npz(path) as archive:
        return archive.read("x")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("values", [VALUES, np.asfortranarray(VALUES), VALUES.astype(">f4"), np.zeros((0, 3), bool)])
def test_arrays_come_back(tmp_path: Path, save: Callable, values: np.ndarray):
    save(tmp_path / "a.npz", x=values, y=np.ones(3))
    with open_npz(tmp_path / "a.npz") as archive:
        assert archive.names == ("x", "y")
        got = archive.read("x")
    assert got.dtype == values.dtype
    np.testing.assert_array_equal(got, values)


def test_a_claimed_shape_costs_nothing(tmp_path: Path):
    forged = npy(np.zeros(1000, np.uint8)).replace(b"(1000,)", b"(9**9,)")  # as long, so that the header stays valid
    with pytest.raises(UserError):
        read(tmp_path / "a.npz", forged)
    for claim in (b"(10**15, 10**15), }", b"(2000000000000, 3), }", b"(-5, -200), }"):
        header = npy(np.zeros(1000, np.uint8))
        start = header.index(b"(1000,)")
        padded = header[:start] + claim + header[start + len(b"(1000,), }") + len(claim) - len(b"(1000,), }") :]
        tracemalloc.start()
        with pytest.raises(UserError, match=r"a\.npz"):
            read(tmp_path / "a.npz", padded)
        assert tracemalloc.get_traced_memory()[1] < 10**7
        tracemalloc.stop()


def test_objects_are_not_unpickled(tmp_path: Path):
    with pytest.raises(UserError, match="not plain numbers"):
        read(tmp_path / "a.npz", npy(np.array([{}], dtype=object)))
    with pytest.raises(UserError, match="not plain numbers"):
        read(tmp_path / "a.npz", npy(np.array(["text"])))


def lengthened(content: bytes) -> bytes:
    return content.replace(b"'fortran_order'", b"'fortran_ordex'")


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", npy(VALUES)[:-1], npy(VALUES)[:20], lengthened(npy(VALUES)), b"\x93NUMPY\x07\x00" + b"x" * 50],
)
def test_damage_is_refused(tmp_path: Path, content: bytes):
    with pytest.raises(UserError, match=r"a\.npz"):
        read(tmp_path / "a.npz", content)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression_is_refused(tmp_path: Path, method: int):
    with pytest.raises(UserError, match="compressed"):
        read(tmp_path / "a.npz", npy(VALUES), method)


def test_encryption_is_refused(tmp_path: Path):
    path = tmp_path / "a.npz"
    np.savez(path, x=VALUES)
    content = bytearray(path.read_bytes())
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(magic) + offset] |= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.npz"), open_npz(path) as archive:
        archive.read("x")


def test_a_folder_is_no_archive(tmp_path: Path):
    with pytest.raises(UserError, match="folder"), open_npz(tmp_path):
        pass
