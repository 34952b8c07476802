"""Images without labels: where folders cannot be classes, or where the user says so; never by a guess."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from potstill.data import ImageFiles, find_unlabelled, load_dataset, load_unlabelled
from potstill.runtime.errors import Unlabelled, UserError


def write(folder: Path, *names: str, size: tuple[int, int] = (8, 8), first: int = 0) -> Path:
    """Grey images of one colour each, 10 times their number and 10."""
    for number, name in enumerate(names, first):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full(size, 10 * number + 10, np.uint8)).save(path)
    return folder


def test_a_flat_folder_is_unambiguous(tmp_path: Path):
    folder = write(tmp_path / "photos", "b.png", "a.png", "c.png")
    (folder / "notes.txt").write_text("x")
    (folder / "cache").mkdir()
    found = find_unlabelled(folder)
    assert found is not None
    assert found.files == [folder / "a.png", folder / "b.png", folder / "c.png"]
    decoded = load_unlabelled(found, cache=tmp_path / "cache")
    assert decoded.images.read(slice(0, 3))[:, 0, 0, 0].tolist() == [20, 10, 30]
    assert decoded.images.class_names == ("",)
    assert [each.count for each in decoded.account.left_out] == [1]
    again = load_unlabelled(found, cache=tmp_path / "cache")
    assert again.fingerprint == decoded.fingerprint


def test_folders_that_may_be_classes_are_not_passed_over(tmp_path: Path):
    for name, files in {
        "classes": ["cat/1.png", "dog/1.png"],
        "one": ["all/1.png"],
        "both": ["1.png", "a/1.png"],
    }.items():
        assert find_unlabelled(write(tmp_path / name, *files)) is None
    for named in ("digits", tmp_path / "absent"):
        assert find_unlabelled(named) is None
    (tmp_path / "empty").mkdir()
    assert find_unlabelled(tmp_path / "empty") is None


def test_a_dataset_beside_images_is_a_dataset(tmp_path: Path):
    folder = write(tmp_path / "mixed", "sheet.png")
    np.save(folder / "e.npy", np.zeros((2, 3), np.float32))
    np.save(folder / "e.labels.npy", np.arange(2))
    assert find_unlabelled(folder) is None


def test_the_user_may_say_that_folders_are_no_classes(tmp_path: Path):
    folder = write(tmp_path / "photos", "2024/b.png", "2023/x/a.png", "c.png")
    found = find_unlabelled(folder, insisted=True)
    assert found is not None
    assert found.files == [folder / "2023/x/a.png", folder / "2024/b.png", folder / "c.png"]


def test_several_splits_are_not_mixed(tmp_path: Path):
    folder = write(tmp_path / "photos", "train/a.png", "test/b.png")
    with pytest.raises(UserError, match=r"test and train in .* have the names of splits; name one of them: .*train"):
        find_unlabelled(folder, insisted=True)
    found = find_unlabelled(folder / "train", insisted=True)
    assert found is not None
    assert len(found.parts) == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [("absent", "does not exist"), ("text.txt", "not a folder or .zip of images"), ("empty", "has no images")],
)
def test_what_cannot_be_meant(name: str, words: str, tmp_path: Path):
    (tmp_path / "text.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=words):
        find_unlabelled(tmp_path / name, insisted=True)


def test_a_name_of_the_catalogue_is_a_dataset():
    with pytest.raises(UserError, match="digits is a dataset with labels"):
        find_unlabelled("digits", insisted=True)


def test_an_archive(tmp_path: Path):
    folder = write(tmp_path / "photos", "b.png", "a.png")
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    found = find_unlabelled(tmp_path / "photos.zip")
    assert found is not None
    assert found.files is None
    assert ImageFiles(found).read(slice(0, 2))[:, 0, 0, 0].tolist() == [20, 10]
    assert load_unlabelled(found, cache=None).images.read(slice(0, 2))[:, 0, 0, 0].tolist() == [20, 10]


def test_files_are_opened_only_to_be_looked_at_and_may_differ_in_size(tmp_path: Path):
    folder = write(tmp_path / "photos", "a.png")
    write(folder, "b.png", size=(30, 200), first=1)
    Image.fromarray(np.full((9, 9), 300, np.uint16)).save(folder / "c.png")
    (folder / "d.png").write_bytes(b"damaged")
    found = find_unlabelled(folder)
    assert found is not None
    files = ImageFiles(found)
    assert (len(files), files.class_sizes) == (4, (4,))
    pictures = files.read(slice(0, 3))
    assert pictures.shape[:2] == (3, 3)
    assert pictures[:, 0, 0, 0].tolist() == [10, 20, 255]
    with pytest.raises(UserError, match=r"cannot read image .*d\.png"):
        files.read(slice(3, 4))
    (folder / "d.png").unlink()
    found = find_unlabelled(folder)
    assert found is not None
    with pytest.raises(UserError, match="differ in size"):
        load_unlabelled(found, cache=None)


def test_a_dataset_without_classes_says_so(tmp_path: Path):
    for name, files in {"flat": ["1.png"], "one": ["all/1.png"], "splits": ["train/1.png", "test/1.png"]}.items():
        with pytest.raises(Unlabelled):
            load_dataset(write(tmp_path / name, *files), cache=None)
