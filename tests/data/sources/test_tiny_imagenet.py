"""Tiny ImageNet as it is unzipped."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from published import noise, write_images

from potstill.data import load_dataset
from potstill.data.sources.base import Request
from potstill.data.sources.tiny_imagenet import TinyImagenet
from potstill.runtime.errors import UserError

CLASSES = ("n01443537", "n01629819")


def unzip(folder: Path) -> Path:
    for seed, name in enumerate(CLASSES):
        write_images(folder / "train" / name / "images", noise(4, (64, 64, 3), seed), ".png")
        (folder / "train" / name / f"{name}_boxes.txt").write_text("0.JPEG\t0\t10\t63\t58\n")
    write_images(folder / "val" / "images", noise(5, (64, 64, 3), 7), ".png")
    write_images(folder / "test" / "images", noise(3, (64, 64, 3), 8), ".png")
    lines = [f"{number:04}.png\t{CLASSES[number % 2]}\t0\t32\t44\t62" for number in (3, 2, 1, 0)]
    (folder / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    (folder / "wnids.txt").write_text("\n".join(reversed(CLASSES)))
    (folder / "words.txt").write_text("n01443537\tgoldfish, Carassius auratus\nn00001740\tentity\n")
    return folder


def test_validation_images_have_the_classes_of_their_annotations(tmp_path: Path):
    loaded = load_dataset(str(unzip(tmp_path)), validation_fraction=0)
    assert loaded.class_names == CLASSES
    assert len(loaded.train) == 8
    assert loaded.test.labels.tolist() == [1, 0, 1, 0]
    np.testing.assert_array_equal(
        loaded.test.images.numpy(), noise(5, (64, 64, 3), 7)[[3, 2, 1, 0]].transpose(0, 3, 1, 2)
    )


def test_what_is_left_out_and_what_identifiers_mean_is_told(tmp_path: Path):
    account = load_dataset(str(unzip(tmp_path / "tiny-imagenet-200").parent)).account
    assert account is not None
    assert {left.what: left.count for left in account.left_out} == {
        "other files": 5,
        "images in test": 3,
        "images in val": 1,
    }
    assert account.remarks[0].endswith("n01443537 is goldfish, Carassius auratus; ...")


def test_stray_images_are_counted(tmp_path: Path):
    folder = unzip(tmp_path)
    for stray, count in ((".", 1), ("train", 2), ("val", 3), ("extra/deep", 4), ("test/more", 5)):
        write_images(folder / stray, noise(count, (64, 64, 3)))
    loaded = load_dataset(str(folder), validation_fraction=0)
    assert loaded.account is not None
    assert {left.what: left.count for left in loaded.account.left_out} == {
        "other files": 5,
        "images beside the splits": 1,
        "images directly in train": 2,
        "images in val": 1 + 3,
        "images in extra": 4,
        "images in test": 3 + 5,
    }
    assert len(loaded.train) == 8


def test_a_class_without_images_is_refused(tmp_path: Path):
    (unzip(tmp_path) / "train" / "n09999999" / "images").mkdir(parents=True)
    with pytest.raises(UserError, match=r"class 'n09999999' has no images in .*train/n09999999"):
        load_dataset(str(tmp_path))


@pytest.mark.parametrize(("link", "target"), [("val/images", "../train"), ("train", "val/images")])
def test_a_split_that_is_a_link_to_another_is_refused(tmp_path: Path, link: str, target: str):
    folder = unzip(tmp_path / "set")
    (folder / link).rename(tmp_path / "away")
    (folder / link).symlink_to(target)
    with pytest.raises(UserError, match=f"{link} is a link to a folder of the same dataset"):
        load_dataset(str(folder))


@pytest.mark.parametrize("name", ["train", "val/images"])
def test_a_file_in_place_of_a_split_is_no_tiny_imagenet(tmp_path: Path, name: str):
    folder = unzip(tmp_path)
    shutil.rmtree(folder / name)
    (folder / name).write_bytes(b"")
    assert TinyImagenet.recognise(Request(str(folder), None, folder)) is None


def test_in_the_data_root_it_is_the_catalogues(tmp_path: Path):
    unzip(tmp_path / "tiny-imagenet")
    loaded = load_dataset("tiny-imagenet", data_root=tmp_path)
    assert loaded.mean == (0.485, 0.456, 0.406)


@pytest.mark.parametrize("line", ["../train/0000.png\tn01443537", "gone.png\tn01443537", "0001.png", "0000.png\tx"])
def test_annotations_of_other_files_are_refused(tmp_path: Path, line: str):
    path = unzip(tmp_path) / "val" / "val_annotations.txt"
    path.write_text(path.read_text() + line)
    with pytest.raises(UserError, match=r"val_annotations\.txt, line 5"):
        load_dataset(str(tmp_path))


def test_a_validation_folder_in_class_folders_is_read_as_such(tmp_path: Path):
    folder = unzip(tmp_path)
    for path in (folder / "val" / "images").iterdir():
        path.unlink()
    (folder / "val" / "images").rmdir()
    for seed, name in enumerate(CLASSES):
        write_images(folder / "val" / name, noise(2, (64, 64, 3), seed + 20))
    assert load_dataset(str(tmp_path)).test.class_sizes == (2, 2)
