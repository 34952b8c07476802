from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from potstill.report.charts.pictures import (
    BRIGHTER,
    DARKER,
    UNCHANGED,
    as_rgb,
    change,
    change_limit,
    data_uri,
    diverging,
)
from potstill.report.images import ImageSet
from potstill.report.sections.gallery import LARGEST_SIDE, PIXEL_BUDGET, choose_reduction, make_gallery


def image_set(pixels: np.ndarray, labels: list[int], names: tuple[str, ...], soft: bool = False) -> ImageSet:
    return ImageSet(pixels.astype(np.float32), np.array(labels), soft, names)


def decode(uri: str) -> np.ndarray:
    assert uri.startswith("data:image/png;base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


@pytest.mark.parametrize(
    ("values", "colour"),
    [
        ([0.2], (51, 51, 51)),
        ([1.0, 0.0], (255, 0, 255)),
        ([0.4, 0.4], (102, 102, 102)),
        ([0.0, 0.2, 1.0], (0, 51, 255)),
        ([0.0, 0.2, 1.0, 0.6], (0, 51, 255)),
    ],
)
def test_one_to_four_channels_have_colours(values: list[float], colour: tuple[int, int, int]) -> None:
    pixels = np.array(values).reshape(1, -1, 1, 1)
    assert as_rgb(pixels)[0, 0, 0].tolist() == list(colour)


def test_the_change_is_the_largest_of_the_channels_with_its_sign() -> None:
    before = np.array([0.5, 0.5, 0.5]).reshape(1, 3, 1, 1)
    after = np.array([0.6, 0.1, 0.7]).reshape(1, 3, 1, 1)
    assert change(before, after).item() == pytest.approx(-0.4)


def test_no_change_is_grey_and_the_ends_have_full_colour() -> None:
    assert diverging(np.array([-9, -0.5, 0, 0.5, 9]), 0.5).tolist() == [
        list(DARKER), list(DARKER), list(UNCHANGED), list(BRIGHTER), list(BRIGHTER),
    ]  # fmt: skip
    assert len(set(UNCHANGED)) == 1


def test_a_set_that_did_not_change_has_a_grey_difference() -> None:
    pixels = np.full((1, 1, 4, 4), 0.5)
    limit = change_limit(change(pixels, pixels))
    assert diverging(change(pixels, pixels), limit).min() == diverging(change(pixels, pixels), limit).max() == 143


@pytest.mark.parametrize("grey", [True, False])
def test_a_data_uri_holds_the_picture(grey: bool) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    if grey:
        rgb[..., 1:] = rgb[..., :1]
    assert np.array_equal(decode(data_uri(rgb)), rgb[..., 0] if grey else rgb)


def test_the_gallery_groups_by_class_and_pairs_before_with_after() -> None:
    before = np.stack([np.full((1, 2, 2), value) for value in (0.0, 0.2, 0.4)])
    gallery = make_gallery(
        image_set(1 - before, [1, 0, 1], ("a", "b", "c")), image_set(before, [1, 0, 1], ("a", "b", "c"))
    )
    assert [(row.name, row.count) for row in gallery.rows] == [("a", 1), ("b", 2), ("c", 0)]
    tile = gallery.rows[1].tiles[1]
    assert tile.before is not None
    assert decode(tile.before)[0, 0] == 102
    assert decode(tile.after)[0, 0] == 153
    assert gallery.limit == pytest.approx(1.0, abs=0.02)


def test_without_a_start_there_is_no_difference() -> None:
    gallery = make_gallery(image_set(np.zeros((2, 1, 2, 2)), [0, 1], ("a", "b")), None)
    assert gallery.limit is None
    assert gallery.rows[0].tiles[0].before is gallery.rows[0].tiles[0].difference is None


def test_no_more_than_ten_of_a_class_are_shown_and_the_number_is_kept() -> None:
    gallery = make_gallery(image_set(np.zeros((60, 1, 2, 2)), [0] * 50 + [1] * 10, ("a", "b")), None)
    assert [(len(row.tiles), row.count) for row in gallery.rows] == [(10, 50), (10, 10)]


@given(st.integers(1, 512), st.integers(1, 512), st.integers(2, 1000))
def test_pictures_are_reduced_just_enough(height: int, width: int, classes: int) -> None:
    def fits(reduction: int) -> bool:
        small = max(height, width) <= LARGEST_SIDE * reduction
        return small and height * width * classes <= PIXEL_BUDGET * reduction**2

    reduction = choose_reduction(height, width, classes)
    assert fits(reduction)
    assert reduction == 1 or not fits(reduction - 1)


def test_notes_tell_how_to_read_the_pictures() -> None:
    gallery = make_gallery(image_set(np.zeros((2, 2, 300, 200)), [0, 1], ("a", "b"), soft=True), None)
    assert "magenta" in gallery.notes[0]
    assert "most probable" in gallery.notes[1]
    assert "1/4" in gallery.notes[2]
    assert decode(gallery.rows[0].tiles[0].after).shape[:2] == (75, 50)


@pytest.mark.parametrize("width", [8, 28, 32, 64])
def test_tiles_are_whole_multiples_of_their_pictures(width: int) -> None:
    gallery = make_gallery(image_set(np.zeros((2, 1, width, width)), [0, 1], ("a", "b")), None)
    assert gallery.large % width == gallery.small % width == 0
    assert gallery.small <= gallery.large
