"""The PNG figures of images: everything inside the figure, pixel for pixel, and names that a font can draw."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from potstill.report import lettering
from potstill.report.images import ImageSet
from potstill.report.lettering import columns, cut, drawable, drawable_names
from potstill.report.mosaic import mosaic

LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
TITLE = "A title with so many words that it does not fit beside a single picture and takes several lines"


def of_classes(names: tuple[str, ...], per_class: int, height: int = 8, width: int = 8) -> ImageSet:
    labels = np.repeat(np.arange(len(names)), per_class)
    return ImageSet(np.zeros((len(labels), 1, height, width), dtype=np.float32), labels, False, names)


def coloured(images: ImageSet) -> np.ndarray:
    """A colour for each image, by which it is found again."""
    height, width = images.pixels.shape[2:]
    colours = np.stack([np.full(len(images), 9), np.arange(len(images)) % 250, np.full(len(images), 200)], axis=1)
    return np.broadcast_to(colours[:, None, None].astype(np.uint8), (len(images), height, width, 3))


def drawn(images: ImageSet, title: str = TITLE) -> tuple[list[str], np.ndarray]:
    """The texts of a figure, none of which leaves it or covers another, and its pixels."""
    figure = mosaic(images, coloured(images), title)
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # also of signs that a font lacks
        figure.savefig(stream, format="png", facecolor="white")
    boxes = [text.get_window_extent() for text in figure.texts]
    for box in boxes:
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.width
        assert box.y1 <= figure.bbox.height
    assert not any(one.overlaps(other) for place, one in enumerate(boxes) for other in boxes[:place])
    return [text.get_text() for text in figure.texts], np.asarray(Image.open(stream).convert("RGB"))


@pytest.mark.slow
@pytest.mark.parametrize("per_class", [1, 10])
@pytest.mark.parametrize(
    "names",
    [
        tuple("0123456789"),
        (LONG, "猫", "🐈", "قط", "<b>&", "two\nlines", "", "$x^2$", "a\x1b\u202eb", "नमस्ते"),
    ],
    ids=["digits", "odd"],
)
def test_nothing_is_clipped_and_no_name_covers_another(names: tuple[str, ...], per_class: int) -> None:
    texts, pixels = drawn(of_classes(names, per_class))
    assert len([text for text in texts if text in drawable_names(names)]) == len(names)
    found = {tuple(colour) for colour in pixels.reshape(-1, 3).tolist() if colour[0] == 9 and colour[2] == 200}
    assert len(found) == per_class * len(names), "every picture is there"


@pytest.mark.parametrize(("height", "width"), [(1, 1), (8, 64), (64, 8), (224, 320), (500, 1)])
def test_pictures_of_any_size_are_shown(height: int, width: int) -> None:
    _, pixels = drawn(of_classes(("cat", "dog"), 1, height, width))
    rows, across = np.nonzero((pixels == (9, 1, 200)).all(axis=2))
    assert rows.max() - rows.min() + 1 >= 1
    wide, tall = across.max() - across.min() + 1, rows.max() - rows.min() + 1
    assert wide / tall == pytest.approx(width / height, rel=0.1)
    assert max(wide, tall) >= 70


def test_one_image_a_class_fills_rows_of_equal_length() -> None:
    _, pixels = drawn(of_classes(tuple("0123456789"), 1), "after")
    used = (pixels[..., 0] == 9).any(axis=0)
    assert used.mean() > 0.7, "no thin column on an empty page"


@pytest.mark.slow
def test_what_is_left_out_is_said() -> None:
    texts, _ = drawn(of_classes(tuple(f"class {index}" for index in range(60)), 12), "after")
    assert " ".join(texts).endswith("after; the first 50 of 60 classes; 10 of 12 images of a class")
    assert "class 49" in texts
    assert "class 50" not in texts


def test_a_name_that_no_font_can_draw_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "font_families", lambda: (lettering.DRAWN_FIRST,))
    assert drawable_names(["cat", "猫", "", "قط", "Käse", "नि"]) == [
        "cat", "class 1", "class 2", "class 3", "Käse", "class 5",
    ]  # fmt: skip


def test_a_font_that_is_installed_draws_what_the_first_one_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    characters = {lettering.DRAWN_FIRST: frozenset(map(ord, "cat ")), "Noto Sans CJK JP": frozenset(map(ord, "猫"))}
    monkeypatch.setattr(lettering, "font_families", lambda: tuple(characters))
    monkeypatch.setattr(lettering, "_characters", characters.__getitem__)
    assert drawable("cat 猫")
    assert not drawable("犬")


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=40), st.integers(2, 20))
def test_a_name_that_was_cut_fits(name: str, most: int) -> None:
    short = cut(name, most)
    assert columns(short) <= most
    assert short == name or short.endswith("…")
