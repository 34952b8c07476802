"""HDF5: read with h5py where it is installed, refused by name where it is not."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from potstill.data.formats.hdf5 import read_hdf5
from potstill.runtime.errors import UserError


def test_without_h5py_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r"usps\.h5.*pip install h5py"):
        read_hdf5(tmp_path / "usps.h5", ["train/data"])


def test_plain_arrays_come_back_and_links_are_not_followed(tmp_path: Path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = np.ones(3)
    with h5py.File(tmp_path / "usps.h5", "w") as archive:
        archive["train/data"] = np.arange(6.0).reshape(2, 3)
        archive["train/text"] = "text"
        archive["train/linked"] = h5py.ExternalLink("other.h5", "secret")
        archive["train/soft"] = h5py.SoftLink("/train/data")
    read = read_hdf5(tmp_path / "usps.h5", ["train/data", "train/linked", "train/soft", "test/data"])
    assert set(read) == {"train/data"}
    np.testing.assert_array_equal(read["train/data"], np.arange(6.0).reshape(2, 3))
    with pytest.raises(UserError, match="plain numbers"):
        read_hdf5(tmp_path / "usps.h5", ["train/text"])


def test_other_files_are_refused(tmp_path: Path):
    pytest.importorskip("h5py")
    for content in (b"", b"hello", b"\x89HDF\r\n\x1a\n" + b"x" * 100):
        (tmp_path / "bad.h5").write_bytes(content)
        with pytest.raises(UserError, match=r"bad\.h5"):
            read_hdf5(tmp_path / "bad.h5", ["train/data"])
