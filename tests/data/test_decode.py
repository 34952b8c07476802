"""Decoding: colour modes, number types, sizes, damage."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from potstill.data.decode import decode_image, decode_images, resize_arrays, to_bytes
from potstill.runtime.errors import UserError

GRADIENT = np.arange(6 * 9, dtype=np.uint8).reshape(6, 9) * 4


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_kept_modes_keep_every_channel(mode: str):
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(0).integers(0, 256, (6, 9, channels), dtype=np.uint8)
    image = Image.fromarray(pixels if channels > 1 else pixels[..., 0])
    assert image.mode == mode
    decoded = decode_image(encoded(image), "it")
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, pixels.transpose(2, 0, 1))


def test_palette_becomes_rgb():
    colour = Image.fromarray(np.stack([GRADIENT, GRADIENT // 2, 255 - GRADIENT], axis=-1))
    palette = colour.quantize(64)
    expected = np.asarray(palette.convert("RGB")).transpose(2, 0, 1)
    np.testing.assert_array_equal(decode_image(encoded(palette), "it"), expected)
    np.testing.assert_array_equal(decode_image(encoded(palette, "GIF"), "it"), expected)


def test_bilevel_becomes_black_and_white():
    decoded = decode_image(encoded(Image.fromarray(GRADIENT > 100)), "it")
    np.testing.assert_array_equal(decoded[0], np.where(GRADIENT > 100, 255, 0))


def test_cmyk_becomes_rgb():
    decoded = decode_image(encoded(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "TIFF"), "it")
    np.testing.assert_array_equal(decoded[:, 0, 0], [255, 0, 0])


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_to_eight(format: str):
    deep = Image.fromarray(GRADIENT.astype(np.uint16) * 257)
    np.testing.assert_array_equal(decode_image(encoded(deep, format), "it")[0], GRADIENT)


def test_floating_point_in_the_unit_interval():
    floating = Image.fromarray((GRADIENT / 255).astype(np.float32))
    np.testing.assert_array_equal(decode_image(encoded(floating, "TIFF"), "it")[0], GRADIENT)


def test_nan_pixels_are_refused():
    pixels = (GRADIENT / 255).astype(np.float32)
    pixels[2, 3] = np.nan
    with pytest.raises(UserError, match=r"scan 7.* NaN"):
        decode_image(encoded(Image.fromarray(pixels), "TIFF"), "scan 7")


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP", "WEBP", "GIF"])
def test_truncated_images_are_named(format: str):
    content = encoded(Image.effect_noise((40, 40), 80), format)
    with pytest.raises(UserError, match=r"cannot read image holiday\.x"):
        decode_image(content[: len(content) // 2], "holiday.x")


@given(st.binary(max_size=60))
def test_any_bytes_are_an_image_or_refused(content: bytes):
    with pytest.raises(UserError, match="cannot read image it"):
        decode_image(content, "it")


def test_photographs_are_turned_the_way_they_were_held():
    upright = Image.fromarray(GRADIENT)
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be turned a quarter clockwise
    sideways = upright.transpose(Image.Transpose.ROTATE_90)
    np.testing.assert_array_equal(decode_image(encoded(sideways, exif=exif), "it")[0], GRADIENT)


def test_absent_file_is_named(tmp_path: Path):
    with pytest.raises(UserError, match=r"gone\.png: no such file"):
        decode_image(tmp_path / "gone.png", str(tmp_path / "gone.png"))


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_channels_can_be_asked_for(channels: int, mode: str):
    image = Image.fromarray(np.stack([GRADIENT, GRADIENT // 2, GRADIENT // 3, GRADIENT], axis=-1))
    decoded = decode_image(encoded(image), "it", channels=channels)
    assert decoded.shape == (channels, 6, 9)
    np.testing.assert_array_equal(decoded, np.asarray(image.convert(mode)).reshape(6, 9, -1).transpose(2, 0, 1))


def test_order_is_kept_over_many_images():
    images = [encoded(Image.new("L", (2, 2), number % 256)) for number in range(700)]
    decoded = decode_images((image, "it") for image in images)
    assert decoded.dtype == torch.uint8
    assert decoded[:, 0, 1, 1].tolist() == [number % 256 for number in range(700)]


def test_no_images_are_an_empty_array():
    assert len(decode_images([])) == 0


@pytest.mark.parametrize(
    ("modes", "channels"), [(["L", "RGB"], 3), (["L", "LA"], 2), (["LA", "RGB"], 4), (["RGB", "RGBA"], 4), (["L"], 1)]
)
def test_mixed_channels_become_those_of_the_richest(modes: list[str], channels: int):
    white = [Image.new("RGBA", (2, 2), (200, 200, 200, 255)).convert(mode) for mode in modes]
    decoded = decode_images((encoded(image), "it") for image in white)
    assert decoded.shape == (len(modes), channels, 2, 2)
    colour, alpha = (decoded[:, :-1], decoded[:, -1]) if channels in (2, 4) else (decoded, None)
    assert (colour == 200).all()
    assert alpha is None or (alpha == 255).all()


def test_mixed_sizes_offer_image_size():
    images = [(encoded(Image.new("L", size)), f"image {size}") for size in [(4, 3), (4, 3), (5, 3)]]
    with pytest.raises(UserError, match=r"image \(4, 3\) is 4×3, image \(5, 3\) is 5×3.*--image-size"):
        decode_images(images)
    assert decode_images(images, image_size=2).shape == (3, 1, 2, 2)


@pytest.mark.parametrize("size", [(30, 12), (12, 30), (6, 6), (24, 24)])
def test_image_size_shrinks_the_shorter_side_and_cuts_the_centre(size: tuple[int, int]):
    image = Image.effect_noise(size, 60)
    shrunk = image.resize((size[0] * 6 // min(size), size[1] * 6 // min(size)), Image.Resampling.BILINEAR)
    left, top = (shrunk.width - 6) // 2, (shrunk.height - 6) // 2
    expected = np.asarray(shrunk.crop((left, top, left + 6, top + 6)))
    np.testing.assert_array_equal(decode_image(encoded(image), "it", image_size=6)[0], expected)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 20))
def test_image_size_gives_that_size_whatever_the_image(width: int, height: int, side: int):
    images = np.zeros((1, 2, height, width), dtype=np.uint8)
    assert resize_arrays(images, side).shape == (1, 2, side, side)


def test_arrays_are_resized_like_images():
    image = Image.effect_noise((20, 14), 60)
    expected = decode_image(encoded(image), "it", image_size=7)
    np.testing.assert_array_equal(resize_arrays(np.asarray(image)[None, None], 7)[0], expected)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0, 255], np.uint8), [0, 255]),
        (np.array([0, 255], np.int64), [0, 255]),
        (np.array([0, 128, 129, 65535], np.uint16), [0, 0, 1, 255]),
        (np.array([False, True]), [0, 255]),
        (np.array([0.0, 0.5, 1.0]), [0, 128, 255]),
    ],
)
def test_to_bytes(values: np.ndarray, expected: list[int]):
    converted = to_bytes(values, "it")
    assert converted.dtype == np.uint8
    assert converted.tolist() == expected


@pytest.mark.parametrize(
    "values", [np.array([256]), np.array([-1]), np.array([1.5]), np.array([np.inf]), np.array(["a"])]
)
def test_to_bytes_refuses_what_does_not_fit(values: np.ndarray):
    with pytest.raises(UserError, match=r"\bit\b"):
        to_bytes(values, "it")
