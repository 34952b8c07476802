"""Arrays of all number types: one range for all splits."""

from __future__ import annotations

import numpy as np
import pytest

from potstill.data.arrays import scale_splits
from potstill.data.found import Arrays
from potstill.runtime.errors import UserError


def test_arrays_of_all_splits_are_scaled_alike():
    train, test = np.array([[[0, 4095]]], np.uint16), np.array([[[0, 2048]]], np.int64)
    pictures = scale_splits({"train": [Arrays(train, "a")], "test": [Arrays(test, "b")]})
    assert pictures.splits["test"].flatten().tolist() == [0, 128]
    assert pictures.pixels == "12 bits (0 to 4,095) in int64, uint16, divided by 4,095, times 255"


def test_the_arrays_of_a_split_are_joined_with_the_channels_of_the_richest():
    arrays = [Arrays(np.full((n + 1, 2, 3, channels), 255, np.uint8), "it") for n, channels in enumerate((1, 3))]
    assert scale_splits({"train": arrays}).splits["train"].shape == (3, 3, 2, 3)


def test_a_stated_white_is_not_judged():
    pictures = scale_splits({"train": [Arrays(np.array([[[0.0, 8.0]]]), "digits", white=16)]})
    assert pictures.splits["train"].flatten().tolist() == [0, 128]
    assert pictures.pixels == "0 to 8, with white at 16 by definition"


def test_image_size():
    assert scale_splits({"train": [Arrays(np.ones((1, 8, 6)), "a")]}, image_size=4).splits["train"].shape == (
        1,
        1,
        4,
        4,
    )


def test_empty_splits_stay():
    arrays = {"train": [Arrays(np.ones((1, 8, 6)), "a")], "test": [Arrays(np.ones((0, 8, 6)), "b")]}
    assert len(scale_splits(arrays).splits["test"]) == 0


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(3, 4)], "holds float64"),
        ([(2, 4, 4, 5)], "holds"),
        ([(2, 0, 4)], "holds"),
        ([(1, 4, 4), (1, 4, 5)], "`image_size`"),
    ],
)
def test_other_shapes_are_refused(shapes: list[tuple[int, ...]], message: str):
    with pytest.raises(UserError, match=message):
        scale_splits({"train": [Arrays(np.ones(shape), "it") for shape in shapes]})
