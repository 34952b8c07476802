"""Folders of class folders."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from published import noise, write_images

from potstill.data import load_dataset
from potstill.data.choices import Choices
from potstill.data.raster import readable_suffixes
from potstill.runtime.errors import UserError
from potstill.schema.account import Account


def write_classes(folder: Path, sizes: dict[str, int], shape: tuple[int, ...] = (6, 5)) -> None:
    for number, (name, size) in enumerate(sizes.items()):
        write_images(folder / name, noise(size, shape, seed=number))


def test_classes_are_the_folders_in_order_of_name(tmp_path: Path):
    write_classes(tmp_path, {"dog": 10, "cat": 20})
    loaded = load_dataset(str(tmp_path))
    assert loaded.class_names == ("cat", "dog")
    assert loaded.shape == (1, 6, 5)
    assert loaded.test.class_sizes == (4, 2)
    assert loaded.validation.class_sizes == (2, 1)
    assert loaded.train.class_sizes == (14, 7)
    everything = torch.cat([split.images for split in (loaded.train, loaded.validation, loaded.test)])
    assert len(everything.unique(dim=0)) == 30


@pytest.mark.parametrize(
    ("splits", "sizes"),
    [
        ({"train": 10, "test": 4}, (18, 2, 8)),
        ({"train": 10, "val": 3}, (18, 2, 6)),
        ({"Train": 10, "Valid": 3, "Test": 4}, (20, 6, 8)),
    ],
)
def test_split_folders_are_respected(tmp_path: Path, splits: dict[str, int], sizes: tuple[int, int, int]):
    for split, size in splits.items():
        write_classes(tmp_path / split, {"a": size, "b": size})
    loaded = load_dataset(str(tmp_path))
    assert (len(loaded.train), len(loaded.validation), len(loaded.test)) == sizes


def test_a_class_may_be_called_train(tmp_path: Path):
    write_classes(tmp_path, {"bus": 5, "train": 5})
    assert load_dataset(str(tmp_path)).class_names == ("bus", "train")


def test_imagenette_and_imagenet_as_their_archives_unpack(tmp_path: Path):
    for split in ("train", "val"):
        write_images(tmp_path / "imagenette" / split / "n01440764", noise(3, (160, 213, 3)), ".JPEG")
        write_images(tmp_path / "imagenette" / split / "n02102040", noise(3, (213, 160, 3)), ".JPEG")
    loaded = load_dataset("imagenette", data_root=tmp_path)
    assert loaded.shape == (3, 128, 128)
    assert (len(loaded.train) + len(loaded.validation), len(loaded.test)) == (6, 6)


def test_nested_images_count_and_other_files_do_not(tmp_path: Path):
    write_classes(tmp_path, {"a": 4, "b": 4})
    write_images(tmp_path / "a" / "images", noise(2, (6, 5), seed=9))
    (tmp_path / "a" / "boxes.txt").write_text("0 0 64 64")
    (tmp_path / ".hidden").mkdir()
    loaded = load_dataset(str(tmp_path), validation_fraction=0)
    assert loaded.class_names == ("a", "b")
    assert len(loaded.train) + len(loaded.test) == 10


def test_grey_among_colour_becomes_colour(tmp_path: Path):
    write_classes(tmp_path, {"a": 4}, (6, 5, 3))
    write_images(tmp_path / "b", noise(4, (6, 5)))
    loaded = load_dataset(str(tmp_path))
    assert loaded.shape == (3, 6, 5)
    grey = loaded.train.take(loaded.train.class_index[1]).images
    assert torch.equal(grey[:, 0], grey[:, 2])


def account(folder: Path, **options: Any) -> Account:
    made = load_dataset(str(folder), **options).account
    assert made is not None
    return made


def test_val_and_test_without_train_are_refused(tmp_path: Path):
    for split in ("val", "test"):
        write_classes(tmp_path / split, {"a": 2, "b": 2})
    with pytest.raises(UserError, match=r"no training images, only test, val.*`split_map"):
        load_dataset(str(tmp_path))
    assert len(load_dataset(str(tmp_path), choices=Choices(split_map="train=val,test=test")).test) == 4


def test_what_is_not_read_is_counted(tmp_path: Path):
    write_classes(tmp_path, {"a": 4, "b": 4})
    write_images(tmp_path / "a" / ".ipynb_checkpoints", noise(2, (6, 5)))
    write_images(tmp_path / "b", noise(1, (6, 5)), ".gif")
    (tmp_path / "b" / "._00.png").write_bytes(b"\0\5\x16\7")
    (tmp_path / "b" / "boxes.xml").write_text("<x/>")
    (tmp_path / "b" / "gone.png").symlink_to(tmp_path / "gone")
    for cache in (None, tmp_path / "cache", tmp_path / "cache"):
        made = account(tmp_path, cache=cache)
        assert {left.what: left.count for left in made.left_out} == {
            "hidden files and folders": 2,
            "links": 1,
            "other files": 1,
        }
        assert sum(split.images for split in made.splits) == 9


def test_linked_folders_within_a_class_are_read(tmp_path: Path):
    write_classes(tmp_path / "set", {"a": 4})
    write_classes(tmp_path / "elsewhere", {"b": 4})
    (tmp_path / "set" / "b").mkdir()
    (tmp_path / "set" / "b" / "images").symlink_to(tmp_path / "elsewhere" / "b")
    assert sum(split.images for split in account(tmp_path / "set").splits) == 8


@pytest.mark.parametrize("suffix", [".AVIF", ".webp", ".TIFF", ".bmp", ".jp2", ".qoi"])
def test_suffixes_that_pillow_reads_are_read(tmp_path: Path, suffix: str):
    if suffix.lower() not in readable_suffixes():
        pytest.skip(f"this Pillow has no {suffix}")
    write_classes(tmp_path, {"a": 3, "b": 3}, (6, 5, 3))
    try:
        write_images(tmp_path / "a", noise(2, (6, 5, 3), seed=5), suffix)
    except (KeyError, OSError, ValueError):
        pytest.skip(f"this Pillow does not write {suffix}")
    assert [sum(sizes) for sizes in zip(*(s.class_sizes for s in account(tmp_path).splits), strict=True)] == [5, 3]


def test_a_zip_archive_is_the_dataset_that_it_unpacks_to(tmp_path: Path):
    write_classes(tmp_path / "set" / "train", {"a": 4, "b": 4})
    write_classes(tmp_path / "set" / "test", {"a": 2, "b": 1})
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "set")
    loaded = load_dataset(packed)
    assert loaded.name == "packed"
    assert loaded.fingerprint == load_dataset(str(tmp_path / "set")).fingerprint


def test_names_in_any_script_are_classes(tmp_path: Path):
    write_classes(tmp_path, {"猫": 2, "a\nb": 2, " ": 2})
    assert load_dataset(str(tmp_path)).class_names == (" ", "a\nb", "猫")


def empty_class(folder: Path) -> None:
    shutil.rmtree(folder / "b")
    (folder / "b").mkdir()


def one_class(folder: Path) -> None:
    shutil.rmtree(folder / "b")


def other_size(folder: Path) -> None:
    write_images(folder / "b", noise(1, (6, 7)))


def truncated(folder: Path) -> None:
    path = folder / "b" / "0001.png"
    path.write_bytes(path.read_bytes()[:-30])


def not_an_image(folder: Path) -> None:
    (folder / "b" / "0002.png").write_text("hello")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (empty_class, "class 'b' .*no image"),
        (one_class, "fewer than two classes"),
        (other_size, "5×6.*7×6.*`image_size`|7×6.*5×6.*`image_size`"),
        (truncated, r"b/0001\.png: .*truncated"),
        (not_an_image, r"b/0002\.png: not in a format that is supported"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, spoil: Callable[[Path], None], message: str):
    write_classes(tmp_path, {"a": 4, "b": 4})
    spoil(tmp_path)
    with pytest.raises(UserError, match=message) as refused:
        load_dataset(str(tmp_path))
    assert "\n" not in str(refused.value)


def test_sizes_that_differ_between_splits_offer_image_size(tmp_path: Path):
    write_classes(tmp_path / "train", {"a": 2, "b": 2}, (6, 6))
    write_classes(tmp_path / "test", {"a": 2, "b": 2}, (6, 8))
    with pytest.raises(UserError, match="`image_size`"):
        load_dataset(str(tmp_path))
    assert load_dataset(str(tmp_path), image_size=4).shape == (1, 4, 4)


def test_class_of_the_test_split_alone_is_refused(tmp_path: Path):
    write_classes(tmp_path / "train", {"a": 2, "b": 2})
    write_classes(tmp_path / "test", {"a": 2, "c": 2})
    with pytest.raises(UserError, match="'c'"):
        load_dataset(str(tmp_path))


def test_folder_of_neither_kind_is_refused(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(UserError, match="class"):
        load_dataset(str(tmp_path))


def test_pixels_are_those_of_the_files(tmp_path: Path):
    write_classes(tmp_path / "train", {"a": 3, "b": 3}, (6, 5, 3))
    write_classes(tmp_path / "test", {"a": 1, "b": 1}, (6, 5, 3))
    loaded = load_dataset(str(tmp_path), validation_fraction=0)
    expected = np.concatenate([noise(3, (6, 5, 3), seed) for seed in (0, 1)]).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(loaded.train.images.numpy(), expected)
