"""The contact sheet: which images it shows, and that they are there, pixel for pixel."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from potstill.inspection import inspect
from potstill.report.contact_sheet import MOST_CLASSES, MOST_PICTURES, PIXEL_BUDGET, Sheet, make_sheet
from potstill.report.sheet_picture import sheet_picture
from tests.inspection.small_datasets import clean, dataset, noise, split


def sheet_of(classes: int, per_class: int, side: int = 4, channels: int = 1) -> Sheet:
    """The sheet of a dataset with as many training and test images, in order of their classes."""
    names = [f"class {label}" for label in range(classes)]
    labels = [label for label in range(classes) for _ in range(per_class)]
    images = noise(len(labels), shape=(channels, side, side))
    train = split(images, labels, names)
    data = dataset(train, replace(train, stored=255 - images))
    # Looking through the images is tested elsewhere.
    few = inspect(dataset(split(noise(4), [0, 1, 0, 1]), split(noise(4, 1), [0, 1, 0, 1])))
    record = replace(few, dataset=replace(data.record, account=data.account))
    return make_sheet(record, {"train": data.train, "test": data.test})


def test_small_datasets_show_eight_training_and_four_test_images_of_a_class():
    made = sheet_of(3, 20)
    assert [row.name for row in made.rows] == ["class 0", "class 1", "class 2"]
    assert [[len(group.pictures) for group in row.groups] for row in made.rows] == [[8, 4]] * 3
    assert [[group.total for group in row.groups] for row in made.rows] == [[20, 20]] * 3


def test_images_are_spread_over_their_class_and_always_the_same():
    images = noise(20)
    train = split(images, [0] * 15 + [1] * 5)
    data = dataset(train, train)
    first, second = (make_sheet(inspect(data), {"train": data.train, "test": data.test}) for _ in range(2))
    shown = first.rows[0].groups[0].pictures
    assert [int((images[:, 0, 0, 0] == picture[0, 0, 0]).nonzero()[0]) for picture in shown] == [
        *(0, 2, 4, 6, 8, 10, 12, 14)
    ]
    assert all((one == other).all() for one, other in zip(shown, second.rows[0].groups[0].pictures, strict=True))


def test_a_class_with_fewer_images_shows_them_all_and_one_without_shows_none():
    train = split(noise(5), [0, 0, 0, 1, 1])
    data = dataset(train, split(noise(2, 1), [0, 0]))
    made = make_sheet(inspect(data), {"train": data.train, "test": data.test})
    assert [[len(group.pictures) for group in row.groups] for row in made.rows] == [[3, 2], [2, 0]]
    assert sheet_picture(made, "pets").startswith(b"\x89PNG")


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_pictures_have_the_pixels_of_the_images(channels: int):
    images = noise(4, shape=(channels, 3, 5))
    data = dataset(split(images, [0, 1, 0, 1]), split(images, [0, 1, 0, 1]))
    made = make_sheet(inspect(data), {"train": data.train, "test": data.test})
    (picture, _) = made.rows[1].groups[0].pictures
    assert (made.height, made.width, picture.shape) == (3, 5, (3, 5, 3))
    first, second = (picture[..., 0], picture[..., 1])
    assert (first == images[1, 0].numpy()).all()
    if channels > 1:
        assert (second == images[1, 1].numpy()).all()


def test_large_images_are_reduced_and_many_classes_show_fewer_images():
    assert sheet_of(2, 2, side=97).reduction == 2
    for classes, each in ((60, {8, 4}), (100, {4, 2}), (200, {2, 1})):
        made = sheet_of(classes, 8)
        assert {len(group.pictures) for row in made.rows for group in row.groups} == each
        assert sum(len(group.pictures) for row in made.rows for group in row.groups) <= MOST_PICTURES
    made = sheet_of(MOST_CLASSES, 1, side=88)
    assert made.reduction == 2
    pixels = sum(picture[..., 0].size for row in made.rows for group in row.groups for picture in group.pictures)
    assert pixels <= PIXEL_BUDGET


def test_of_very_many_classes_the_first_are_shown():
    made = sheet_of(MOST_CLASSES + 7, 1)
    assert len(made.rows) == MOST_CLASSES
    assert made.hidden == 7


def test_the_picture_holds_every_image_enlarged_by_a_whole_number():
    data = clean()
    made = make_sheet(inspect(data), {"train": data.train, "validation": data.validation, "test": data.test})
    canvas = np.asarray(Image.open(io.BytesIO(sheet_picture(made, "pets"))))
    scale = round(56 / 5)
    for row in made.rows:
        for group in row.groups:
            for picture in group.pictures:
                tile = picture.repeat(scale, 0).repeat(scale, 1)
                assert contains(canvas, tile)


def contains(canvas: np.ndarray, tile: np.ndarray) -> bool:
    height, width = tile.shape[:2]
    corners = np.argwhere((canvas[:-height, :-width] == tile[0, 0]).all(-1))
    return any((canvas[top : top + height, left : left + width] == tile).all() for top, left in corners)


def test_two_hundred_classes_stand_in_several_columns():
    made = sheet_of(MOST_CLASSES, 3)
    picture = Image.open(io.BytesIO(sheet_picture(made, "many")))
    assert 1500 < picture.width <= 2450
    assert picture.height < 3 * picture.width


def test_the_same_dataset_gives_the_same_picture():
    first, second = (sheet_picture(sheet_of(3, 5), "pets") for _ in range(2))
    assert first == second


def test_a_name_that_no_font_can_draw_is_replaced_and_a_long_one_is_cut():
    train = split(noise(6), [0, 1, 2] * 2, ["cat", "\U000f0000", "x" * 300])
    data = dataset(train, train)
    made = make_sheet(inspect(data), {"train": data.train, "test": data.test})
    assert sheet_picture(replace(made, rows=made.rows[1:2]), "") == sheet_picture(
        replace(made, rows=(replace(made.rows[1], name="class 0"),)), ""
    )
    picture = Image.open(io.BytesIO(sheet_picture(made, "pets")))
    assert picture.width < 600
