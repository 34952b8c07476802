"""One size and one number of channels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from potstill.data.shaping import resize_arrays, resize_bands, richest, stack_images, with_channels
from potstill.runtime.errors import UserError


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 20))
def test_image_size_gives_that_size_whatever_the_image(width: int, height: int, side: int):
    images = np.zeros((1, 2, height, width), dtype=np.uint8)
    assert resize_arrays(images, side).shape == (1, 2, side, side)


def test_arrays_are_resized_like_images():
    image = Image.effect_noise((20, 14), 60)
    np.testing.assert_array_equal(resize_arrays(np.asarray(image)[None, None], 7)[0], resize_bands([image], 7))


@pytest.mark.parametrize(
    ("present", "most"), [([1], 1), ([1, 3], 3), ([1, 2], 2), ([2, 3], 4), ([3, 4], 4), ([1, 4], 4)]
)
def test_the_richest_holds_all(present: list[int], most: int):
    assert richest(present) == most
    for count in present:
        images = np.full((2, count, 3, 3), 7, np.uint8)
        widened = with_channels(images, most)
        assert widened.shape == (2, most, 3, 3)
        np.testing.assert_array_equal(widened[:, 0], images[:, 0])
        if most in (2, 4):
            assert (widened[:, -1] == (7 if count in (2, 4) else 255)).all()


def test_sizes_that_differ_are_named():
    images = [(np.zeros((1, 3, 4), np.uint8), "a"), (np.zeros((1, 3, 5), np.uint8), "b")]
    with pytest.raises(UserError, match=r"a is 4×3, b is 5×3.*`image_size`"):
        stack_images(images)


def test_no_images_are_an_empty_array():
    assert len(stack_images([])) == 0
