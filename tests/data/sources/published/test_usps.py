"""USPS as one HDF5 file."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from potstill.data import load_dataset
from potstill.runtime.errors import UserError


def test_without_h5py_it_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "usps.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    for spec in (tmp_path, tmp_path / "usps.h5"):
        with pytest.raises(UserError, match=r"usps\.h5.*pip install h5py"):
            load_dataset(str(spec))


def test_both_splits_are_read(tmp_path: Path):
    h5py = pytest.importorskip("h5py")
    images = np.random.default_rng(0).random((20, 256), np.float32)
    images[0, 0] = 1
    with h5py.File(tmp_path / "usps.h5", "w") as archive:
        for split in ("train", "test"):
            archive[f"{split}/data"], archive[f"{split}/target"] = images, np.arange(20) % 10
    loaded = load_dataset(str(tmp_path), validation_fraction=0)
    assert loaded.test.shape == (1, 16, 16)
    np.testing.assert_array_equal(loaded.test.images.flatten(1).numpy(), np.rint(images * 255))
