"""Splits or classes: told from names and nesting, or refused."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from potstill.data.choices import NO_CHOICES, Choices
from potstill.data.sources.folder_layout import FolderLayout, understand_folders
from potstill.data.sources.image_tree import Folder
from potstill.runtime.errors import UserError


def tree(files: Sequence[str], parts: tuple[str, ...] = ()) -> Folder:
    """A tree of files, given by their paths; a path that ends in ``/`` is a folder without images."""
    heads = sorted({file.partition("/")[0] for file in files if "/" in file})
    below = {head: [file.partition("/")[2] for file in files if file.startswith(f"{head}/")] for head in heads}
    folders = {head: tree([rest for rest in below[head] if rest], (*parts, head)) for head in heads}
    return Folder(parts, folders, tuple(sorted(file for file in files if "/" not in file)))


def understood(*files: str, split_map: str | None = None) -> FolderLayout:
    choices = Choices(split_map=split_map) if split_map else NO_CHOICES
    return understand_folders(tree(files), "photos", choices)


def classes(layout: FolderLayout) -> dict[str, list[str]]:
    return {split: list(folders) for split, folders in layout.splits.items()}


@pytest.mark.parametrize(
    ("train", "test"),
    [("train", "test"), ("Train", "Valid"), ("training_set", "test_set"), ("train-images", "eval"), ("TRAIN1", "dev")],
)
def test_splits_are_known_by_words_in_their_names(train: str, test: str):
    layout = understood(f"{train}/cat/0", f"{train}/dog/1", f"{test}/cat/2", f"{test}/dog/3")
    assert classes(layout) == {train: ["cat", "dog"], test: ["cat", "dog"]}


def test_classes_alone_are_one_split():
    assert classes(understood("cat/0", "dog/more/1")) == {"": ["cat", "dog"]}


def test_a_class_may_be_called_train():
    assert classes(understood("bus/0", "train/1")) == {"": ["bus", "train"]}
    assert classes(understood("test_tube/0", "train_station/1", "beaker/2")) == {
        "": ["beaker", "test_tube", "train_station"]
    }


def test_splits_within_classes():
    layout = understood("cat/train/0", "cat/test/1", "dog/train/2", "dog/test/3")
    assert layout.words == "folders of splits in class folders"
    assert classes(layout) == {"test": ["cat", "dog"], "train": ["cat", "dog"]}
    assert [*layout.splits["test"]["dog"].walk()] == [("dog", "test", "3")]


def test_a_folder_around_the_dataset_is_looked_into():
    layout = understood("archive/data/train/cat/0", "archive/data/train/dog/1")
    assert classes(layout) == {"train": ["cat", "dog"]}
    assert layout.remarks == ("the classes are in the folder archive", "the classes are in the folder data")
    assert classes(understood("photos/cat/0", "photos/dog/1")) == {"": ["cat", "dog"]}


def test_images_without_a_class_are_left_out_and_counted():
    layout = understood(
        "train/cat/0", "train/dog/1", "train/stray", "test/images/2", "test/images/3", "sample/4", "stray"
    )
    assert classes(layout) == {"train": ["cat", "dog"]}
    assert {left.what: left.count for left in layout.left_out} == {
        "images beside the class folders": 1,
        "images in sample": 1,
        "images in test": 2,
        "images directly in train": 1,
    }


@pytest.mark.parametrize(
    "files",
    [
        ("train/cat.0", "train/dog.1", "test/2"),
        ("train/cat.0",),
        ("training_set/0", "test_set/1"),
        ("train/0", "test/1", "sample/2"),
        ("val/0", "test/1"),
    ],
)
def test_flat_splits_have_no_labels(files: Sequence[str]):
    with pytest.raises(UserError, match=r"without class folders.*CLASS/IMAGE"):
        understood(*files)


def test_folds_are_refused_until_they_are_chosen():
    files = ("a/cat/0", "a/dog/1", "b/cat/2", "b/dog/3")
    with pytest.raises(UserError, match=r"folders a and b .* cat and dog.*`split_map"):
        understood(*files)
    assert classes(understood(*files, split_map="train=a,test=b")) == {"a": ["cat", "dog"], "b": ["cat", "dog"]}


def test_a_class_called_train_with_folders_is_refused_until_it_is_chosen():
    files = ("bus/front/0", "bus/back/1", "train/front/2", "train/back/3")
    with pytest.raises(UserError, match=r"bus and train .*`split_map"):
        understood(*files)
    assert set(classes(understood(*files, split_map="train=train,test=bus"))) == {"bus", "train"}


def test_classes_that_each_have_a_folder_of_images():
    assert classes(understood("n01/images/0", "n02/images/1")) == {"": ["n01", "n02"]}


def test_masks_beside_images_in_class_folders_of_splits_are_not_taken_for_images():
    files = [f"train/{name}/{kind}/1" for name in ("covid", "normal") for kind in ("images", "masks")]
    with pytest.raises(UserError, match="covid and normal in photos, train all contain images and masks"):
        understood(*files)
    assert classes(understood("train/covid/images/1", "train/normal/images/1")) == {"train": ["covid", "normal"]}
