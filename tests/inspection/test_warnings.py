"""Warnings: each for its own reason alone, none for a dataset of which nothing is to be said."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from potstill.data import CATALOGUE, ImageDataset, LabeledImages, dataset_of
from potstill.inspection import inspect
from tests.inspection.small_datasets import clean, dataset, halves, noise, split


def warnings(data: ImageDataset) -> tuple[str, ...]:
    return inspect(data).account.warnings


def test_nothing_is_said_of_a_clean_dataset():
    assert warnings(clean()) == ()


def with_images(part: LabeledImages, **images: torch.Tensor) -> LabeledImages:
    changed = part.images.clone()
    for place, image in images.items():
        changed[int(place[1:])] = image
    return replace(part, stored=changed)


def test_test_images_among_the_training_images():
    data = clean()
    data = replace(data, test=with_images(data.test, _2=data.train.images[4], _4=data.train.images[6]))
    assert warnings(data) == ("2 of 6 test images (33%) are also in train: test accuracy is overestimated",)


def test_one_test_image_among_the_validation_images():
    data = clean()
    data = replace(data, test=with_images(data.test, _2=data.validation.images[0]))
    assert warnings(data) == ("1 of 6 test images (17%) is also in validation: test accuracy is overestimated",)


def test_repeats_within_a_split_mislead_nobody():
    data = clean()
    data = replace(data, train=with_images(data.train, _2=data.train.images[4]))
    assert warnings(data) == ()


def test_one_picture_with_two_labels():
    data = clean()
    data = replace(data, train=with_images(data.train, _2=data.train.images[5]))
    (warning,) = warnings(data)
    assert warning.startswith("2 images occur with more than one label, such as cat and dog")


def many(sizes: dict[str, int], test: dict[str, int]) -> ImageDataset:
    """A dataset with that many training and test images of each class."""
    names = tuple(sizes)
    parts = []
    for seed, of in enumerate((sizes, test)):
        labels = [names.index(name) for name, count in of.items() for _ in range(count)]
        parts.append(split(noise(len(labels), seed), labels, names))
    return dataset(*parts)


def test_classes_of_one_image():
    assert warnings(many({"cat": 3, "dog": 1}, {"cat": 1, "dog": 1})) == ("the class dog has a single training image",)
    rare = dict.fromkeys(["ape", "bee", "cow", "doe", "eel", "fox"], 1)
    (warning,) = warnings(many({"cat": 3, **rare}, {"cat": 1, **rare}))
    assert warning == "6 classes (ape, bee, cow, doe and 2 more) have a single training image"


def test_classes_that_are_not_tested():
    assert warnings(many({"cat": 3, "dog": 2}, {"cat": 1, "dog": 0})) == ("the class dog has no test image",)


def test_too_few_images_to_hold_any_out():
    assert warnings(dataset_of((noise(2), torch.tensor([0, 1])))) == (
        "2 classes (0 and 1) have a single training image",
        "there are no test images: accuracies cannot be measured",
    )


def test_nothing_is_said_of_test_images_where_none_are_asked_for():
    assert warnings(dataset_of((noise(8), torch.tensor(halves(8))), test_fraction=0)) == ()


def test_vectors_are_not_called_images():
    numbers, labels = torch.randn(12, 3), torch.tensor([0] * 11 + [1])
    assert warnings(dataset_of((numbers, labels), test_fraction=0)) == (
        "the class 1 has a single training vector",
        "classes are imbalanced by a factor of 10: 0 has 10 training vectors, 1 has 1",
    )


@pytest.mark.parametrize(("cats", "told"), [(19, False), (20, True)])
def test_imbalance_from_a_factor_of_ten(cats: int, told: bool):
    found = warnings(many({"cat": cats, "dog": 2}, {"cat": 1, "dog": 1}))
    assert found == (
        ("classes are imbalanced by a factor of 10: cat has 20 training images, dog has 2",) if told else ()
    )


def test_splits_that_are_nearly_black_or_white():
    data = clean()
    dark = replace(data.train, stored=data.train.images // 17)
    white = replace(data.test, stored=255 - data.test.images // 8)
    found = warnings(replace(data, train=dark, test=white))
    assert found == (
        "all pixels of train lie between 0 and 14 of 255, so its images are nearly black: check how they were stored",
        "all pixels of test lie between 224 and 255 of 255, so its images are nearly white: check how they were stored",
    )


def test_images_without_contrast():
    data = clean()
    black = torch.zeros_like(data.train.images[0])
    data = replace(data, train=with_images(data.train, _2=black), test=with_images(data.test, _3=black + 255))
    assert warnings(data) == ("2 of 22 images (9.1%) have hardly any contrast",)


SIZES = {"train": 16, "test": 6}


@pytest.fixture
def pets(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """A catalogue dataset with the published sizes of the clean one."""
    sizes = dict(SIZES)
    entry = replace(CATALOGUE["mnist"], name="pets", sizes=sizes)
    monkeypatch.setattr("potstill.inspection.survey.CATALOGUE", {"pets": entry})
    return sizes


def test_a_catalogue_dataset_as_published(pets: dict[str, int]):
    found = inspect(clean("pets", held_out=["validation"]))
    assert found.published
    assert found.account.warnings == ()


def test_a_test_split_that_was_held_out_is_not_the_published_one(pets: dict[str, int]):
    found = inspect(clean("pets", held_out=["validation", "test"]))
    assert not found.published
    (warning,) = found.account.warnings[:1]
    assert warning == (
        "this is not the published test split of 6 images: results are not comparable with published ones"
    )


def test_a_published_split_that_is_not_whole(pets: dict[str, int]):
    pets["train"] = 20
    (warning,) = warnings(clean("pets", held_out=["validation"]))
    assert warning == "train has 16 images, and 20 were published: results are not comparable with published ones"


def test_a_dataset_that_was_published_in_one_piece_is_always_split_by_us(pets: dict[str, int]):
    del pets["test"]
    pets["train"] = 22
    assert inspect(clean("pets", held_out=["validation", "test"])).published


def test_nothing_is_known_of_the_sizes_of_other_datasets(pets: dict[str, int]):
    assert inspect(clean("./pets")).published is None


def test_warnings_of_the_source_come_first_and_a_second_inspection_adds_none():
    data = many({"cat": 3, "dog": 1}, {"cat": 1, "dog": 1})
    assert data.account is not None
    data = replace(data, account=replace(data.account, warnings=("it smells",)))
    found = inspect(data)
    assert found.account.warnings == ("it smells", "the class dog has a single training image")
    assert inspect(replace(data, account=found.account)).account.warnings == found.account.warnings
