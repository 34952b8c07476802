"""MHIST as its owners send it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from published import noise, write_images

from potstill.data import load_dataset
from potstill.runtime.errors import UserError

HEADER = "Image Name,Majority Vote Label,Number of Annotators who Selected SSA (Out of 7),Partition"


@pytest.fixture
def mhist(tmp_path: Path) -> Path:
    folder = tmp_path / "mhist"
    write_images(folder / "images", noise(12, (24, 24, 3)))
    rows = [
        f"{number:04}.png,{'SSA' if number % 3 == 0 else 'HP'},{6 if number % 3 == 0 else 2},"
        f"{'test' if number >= 8 else 'train'}"
        for number in reversed(range(12))
    ]
    (folder / "annotations.csv").write_text("\r\n".join([HEADER, *rows]) + "\r\n")
    return folder


def test_labels_are_votes_and_splits_are_partitions(mhist: Path):
    loaded = load_dataset(f"mhist:{mhist}", validation_fraction=0)
    assert loaded.class_names == ("HP", "SSA")
    assert loaded.shape == (3, 24, 24)
    assert loaded.train.labels.tolist() == [int(number % 3 == 0) for number in reversed(range(8))]
    assert loaded.test.labels.tolist() == [0, 0, 1, 0]
    assert (loaded.train.images[0].permute(1, 2, 0).numpy() == noise(12, (24, 24, 3))[7]).all()


def test_no_copy_is_left_anywhere(mhist: Path, tmp_path: Path):
    before = sorted(tmp_path.rglob("*"))
    load_dataset(f"mhist:{mhist}", cache=tmp_path / "cache")
    load_dataset(f"mhist:{mhist}")
    assert sorted(tmp_path.rglob("*")) == before


def test_image_size(mhist: Path):
    assert load_dataset(f"mhist:{mhist}", image_size=16).shape == (3, 16, 16)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Partition", "Fold", "Partition"),
        ("HP,2,train", "XX,2,train", "'XX'"),
        ("HP,2,train", "HP,2,dev", "'dev'"),
        ("0003.png", "absent.png", r"absent\.png: no such file"),
    ],
)
def test_what_is_wrong_is_named(mhist: Path, old: str, new: str, message: str):
    annotations = mhist / "annotations.csv"
    annotations.write_text(annotations.read_text().replace(old, new, 1))
    with pytest.raises(UserError, match=message) as refused:
        load_dataset(f"mhist:{mhist}")
    assert "\n" not in str(refused.value)


def test_absent_annotations_are_asked_for(tmp_path: Path):
    with pytest.raises(UserError, match=r"annotations\.csv"):
        load_dataset(f"mhist:{tmp_path}")
    with pytest.raises(UserError, match="absent"):
        load_dataset(f"mhist:{tmp_path / 'absent'}")


def test_annotations_are_not_awaited_from_a_pipe(mhist: Path):
    (mhist / "annotations.csv").unlink()
    os.mkfifo(mhist / "annotations.csv")
    with pytest.raises(UserError, match=r"annotations\.csv: it is a named pipe"):
        load_dataset(f"mhist:{mhist}")
