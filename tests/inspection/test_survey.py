"""The inspection as a whole: its record, its text, and what is said in a few lines."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch

import potstill
from potstill.data import ImageDataset
from potstill.inspection import inspect
from potstill.schema.account import LeftOut
from potstill.schema.inspection import Inspection
from tests.inspection.small_datasets import clean, dataset, halves, noise, split

TEXT = """\
pets: 22 images of 2 classes, 5×4, grey
  read as     tensors of a test
  train       12 images, 6 per class, from the train tensor
  validation  4 images, 2 per class, from the validation tensor
  test        6 images, 3 per class, from the test tensor
  pixels      8 bits
  mean        0.5000
  deviation   0.2500
  repeated    no image occurs twice, pixel for pixel
  near-empty  no image"""


def spread() -> ImageDataset:
    """The clean dataset, whose pixels use the whole range."""
    data = clean()
    data.train.images[0, 0, 0, :2] = torch.tensor([0, 255], dtype=torch.uint8)
    return data


def test_the_text_of_a_clean_dataset():
    assert str(inspect(spread())) == TEXT


def test_a_part_of_the_range_is_said():
    data = spread()
    parts = {name: replace(getattr(data, name)) for name in ("train", "validation", "test")}
    halved = {name: replace(part, stored=part.images // 2) for name, part in parts.items()}
    assert "  range       0 to 127 of 255" in str(inspect(replace(data, **halved))).splitlines()


def test_the_text_of_one_with_faults():
    data = spread()
    assert data.account is not None
    account = replace(
        data.account, left_out=(LeftOut(count=3, what="hidden files"),), remarks=("1 of 22 images has alpha",)
    )
    images = data.test.images.clone()
    images[0] = data.train.images[0]
    images[2] = 9
    found = inspect(replace(data, account=account, test=replace(data.test, stored=images)))
    lines = str(found).splitlines()
    assert "  repeated    1 of 6 test images (17%) is also in train" in lines
    assert "  near-empty  1 of 22 images (4.5%)" in lines
    assert "  left out    hidden files (3)" in lines
    assert "  noted       1 of 22 images has alpha" in lines
    assert len([line for line in lines if line.startswith("warning: ")]) == 2


def test_a_few_lines_say_what_was_understood():
    data = spread()
    assert inspect(data).summary() == data.describe().splitlines()
    assert data.describe().splitlines() == [
        "pets: 22 images of 2 classes, 5×4, grey",
        "  read as tensors of a test; pixels: 8 bits",
        "  train 12 (the train tensor), validation 4 (the validation tensor), test 6 (the test tensor)",
    ]


def test_one_line_is_enough_for_a_catalogue_dataset_as_published():
    found = replace(inspect(spread()), published=True)
    assert found.summary() == ["pets: 22 images of 2 classes, 5×4, grey, as published"]
    noted = replace(found.account, remarks=("its columns were renamed",))
    with_remark = replace(found, dataset=replace(found.dataset, account=noted))
    assert with_remark.summary()[1:] == ["  noted: its columns were renamed"]
    warned = replace(found.account, warnings=("it smells",))
    found = replace(found, dataset=replace(found.dataset, account=warned))
    assert len(found.summary()) == 4
    assert found.summary()[-1] == "  warning: it smells"


def test_names_from_outside_are_made_visible():
    data = replace(spread(), name="pets\x1b[31m")
    assert data.account is not None
    data = replace(data, account=replace(data.account, remarks=("a\nb",)))
    for text in (str(inspect(data)), data.describe()):
        assert "pets\\x1b[31m" in text
        assert "a\\nb" in text


def test_tensors_of_ones_own_are_inspected_too():
    found = inspect(replace(spread(), account=None))
    assert found.account.layout == "tensors"
    assert [split.class_sizes for split in found.splits] == [(6, 6), (2, 2), (3, 3)]


def test_it_is_a_function_of_the_package():
    assert isinstance(potstill.inspect(spread()), Inspection)


def test_a_dataset_without_validation_images():
    found = inspect(dataset(clean().train, clean().test))
    assert [split.name for split in found.splits] == [pixels.split for pixels in found.pixels] == ["train", "test"]


@pytest.mark.slow
def test_a_dataset_of_the_size_of_cifar_takes_seconds():
    images = noise(60_000, shape=(3, 32, 32))
    data = clean()
    parts = {
        name: split(images[first:last], halves(last - first))
        for name, first, last in (("train", 0, 45_000), ("validation", 45_000, 50_000), ("test", 50_000, 60_000))
    }
    began = time.process_time()
    assert inspect(replace(data, account=None, **parts)).repeated == ()
    assert time.process_time() - began < 5
