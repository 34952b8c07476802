"""What is not read is called by its name, with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from potstill.data import load_dataset
from potstill.runtime.errors import UserError


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cifar-10-python.tar.gz", "unpack"),
        ("photos.tar", "tar archive.*unpack"),
        ("set.pt", "PyTorch pickle.*could run code"),
        ("set.PKL", "a pickle"),
        ("all.csv", "text table"),
        ("USPS.mat", "layout is not SVHN"),
        ("digits.h5", "another layout than that of usps"),
        ("notes", "neither a folder"),
    ],
)
def test_files_of_other_kinds_are_named(tmp_path: Path, name: str, message: str):
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(UserError, match=message):
        load_dataset(str(tmp_path / name))


def test_folders_are_looked_at_for_a_hint(tmp_path: Path):
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"")
    with pytest.raises(UserError, match=r"but cifar-10-python\.tar\.gz.*unpack"):
        load_dataset(str(tmp_path))
    mhist = tmp_path / "mhist"
    mhist.mkdir()
    (mhist / "annotations.csv").write_text("Image Name\n")
    (mhist / "images").mkdir()
    with pytest.raises(UserError, match=r"write mhist:"):
        load_dataset(str(mhist))
