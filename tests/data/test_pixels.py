"""What white is, for every kind of number, and what is refused because it is unclear."""

from __future__ import annotations

import numpy as np
import pytest

from potstill.data.pixels import WhiteLevels, judge, measure, to_bytes
from potstill.runtime.errors import UserError


def scale(*splits: np.ndarray) -> WhiteLevels:
    return judge({f"split {n}": [measure(values, f"split {n}")] for n, values in enumerate(splits)})


def scaled(values: np.ndarray) -> list[int]:
    (white,) = scale(values).white.values()
    converted = to_bytes(values, white, "it")
    assert converted.dtype == np.uint8
    return converted.tolist()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0, 255], np.uint8), [0, 255]),
        (np.array([0, 14], np.uint8), [0, 14]),
        (np.array([0, 255], np.int64), [0, 255]),
        (np.array([0, 200], np.uint16), [0, 200]),
        (np.array([0, 1023], np.int32), [0, 255]),
        (np.array([0, 2048, 4095], np.uint16), [0, 128, 255]),
        (np.array([0, 2048, 4095], ">u2"), [0, 128, 255]),
        (np.array([0, 16383], np.uint16), [0, 255]),
        (np.array([0, 128, 129, 65535], np.uint16), [0, 0, 1, 255]),
        (np.array([False, True]), [0, 255]),
        (np.array([0.0, 0.5, 1.0]), [0, 128, 255]),
        (np.array([0.0, 254.6]), [0, 255]),
        (np.array([0.0, 4095.0], np.float32), [0, 255]),
    ],
)
def test_the_range_of_all_pixels_says_what_white_is(values: np.ndarray, expected: list[int]):
    assert scaled(values) == expected


def test_every_16_bit_number_is_rounded_to_the_nearest_byte():
    numbers = np.arange(2**16, dtype=np.uint16)
    np.testing.assert_array_equal(to_bytes(numbers, 65535, "it"), (numbers.astype(np.uint32) + 128) // 257)


def test_one_range_for_all_splits():
    dim, bright = np.array([0, 1000], np.uint16), np.array([0, 4063], np.uint16)
    decided = scale(dim, bright)
    assert decided.white == {"integers": 4095}
    assert decided.words == "12 bits (0 to 4,063) in uint16, divided by 4,095, times 255"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.array([3, 255], np.uint8), "8 bits (3 to 255)"),
        (np.array([3, 250], np.uint16), "8 bits (3 to 250) in uint16, kept"),
        (np.array([0.25, 1.0]), "0.25 to 1 in float64, times 255"),
        (np.array([False, True]), "true and false, as white and black"),
    ],
)
def test_the_decision_in_words(values: np.ndarray, words: str):
    assert scale(values).words == words


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ([np.zeros(4, np.uint8)], "every pixel"),
        ([np.zeros(4, np.float32), np.zeros(4, bool)], "every pixel"),
        ([np.array([-1, 5])], "rescale"),
        ([np.array([0, 70_000])], "16 bits"),
        ([np.array([0, 1.001])], "neither"),
        ([np.array([-0.5, 0.5])], "rescale"),
        ([np.array([0, 1], np.uint16)], "all dark"),
        ([np.array([0, 1.0]), np.array([0, 255.0])], "split 0 .* all dark"),
        ([np.array([0, 255], np.uint16), np.array([0, 65535], np.uint16)], "split 0 .* all dark"),
        ([np.array([0, np.nan])], "NaN"),
        ([np.array([0, np.inf])], "NaN or infinite"),
        ([np.array(["a"])], "not numbers"),
        ([np.array([1j])], "not numbers"),
    ],
)
def test_what_is_unclear_is_refused(splits: list[np.ndarray], message: str):
    with pytest.raises(UserError, match=message):
        scale(*splits)


@pytest.mark.parametrize("values", [np.array([256]), np.array([-1]), np.array([255.5])])
def test_nothing_is_wrapped_or_cut_off(values: np.ndarray):
    with pytest.raises(UserError, match=r"\bit\b"):
        to_bytes(values, 255, "it")


def test_no_images_have_no_range():
    assert judge({"train": []}).words == ""
