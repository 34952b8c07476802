"""One encoded image: formats, colour modes, depths, damage."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, features

from potstill.data.pixels import Kind
from potstill.data.raster import FORMATS, read_raster, readable_suffixes
from potstill.runtime.errors import UserError

GRADIENT = np.arange(6 * 9, dtype=np.uint8).reshape(6, 9) * 4


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def decoded(content: bytes, **options: Any) -> np.ndarray:
    pixels = read_raster(content, "it", **options).pixels
    assert pixels is not None
    return pixels


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_kept_modes_keep_every_channel(mode: str, format: str):
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(0).integers(0, 256, (6, 9, channels), dtype=np.uint8)
    image = Image.fromarray(pixels if channels > 1 else pixels[..., 0])
    assert image.mode == mode
    read = decoded(encoded(image, format))
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("format", sorted(set(FORMATS) - {"AVIF", "JPEG", "JPEG2000", "WEBP", "GIF"}))
def test_every_lossless_format_is_read(format: str):
    image = Image.fromarray(np.stack([GRADIENT, GRADIENT // 2, 255 - GRADIENT], axis=-1))
    try:
        content = encoded(image, format)
    except (KeyError, OSError):
        pytest.skip(f"this Pillow does not write {format}")
    np.testing.assert_array_equal(decoded(content), np.asarray(image).transpose(2, 0, 1))


@pytest.mark.parametrize(("format", "feature"), [("AVIF", "avif"), ("WEBP", "webp"), ("JPEG2000", "jpg_2000")])
def test_optional_formats_are_read_where_pillow_has_them(format: str, feature: str):
    if not features.check(feature):
        assert not readable_suffixes() & set(FORMATS[format])
        return
    assert set(FORMATS[format]) <= readable_suffixes()
    assert decoded(encoded(Image.new("RGB", (6, 5), (200, 30, 30)), format)).shape == (3, 5, 6)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\nshowpage\n%%EOF\n"


def test_no_format_starts_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An EPS file is drawn by Ghostscript, if it is installed: here anything that would be started is noted."""
    for name in ("gs", "gswin32c", "gswin64c"):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    disguised = tmp_path / "x.png"
    disguised.write_bytes(EPS)
    for content in (EPS, disguised):
        with pytest.raises(UserError, match="not in a format that is supported"):
            read_raster(content, "it")
    assert not (tmp_path / "started").exists()
    assert not {"EPS", "PDF", "WMF", "MPEG", "HDF5", "GRIB", "BUFR"} & set(FORMATS)


def test_palette_becomes_rgb():
    colour = Image.fromarray(np.stack([GRADIENT, GRADIENT // 2, 255 - GRADIENT], axis=-1))
    palette = colour.quantize(64)
    expected = np.asarray(palette.convert("RGB")).transpose(2, 0, 1)
    np.testing.assert_array_equal(decoded(encoded(palette)), expected)
    np.testing.assert_array_equal(decoded(encoded(palette, "GIF")), expected)
    unused = int(np.asarray(palette).max()) + 1
    np.testing.assert_array_equal(decoded(encoded(palette, transparency=unused)), expected)
    np.testing.assert_array_equal(decoded(encoded(palette, "GIF", transparency=unused)), expected)


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_a_transparent_entry_of_the_palette_becomes_alpha(format: str):
    palette = Image.fromarray(np.stack([GRADIENT, GRADIENT // 2, 255 - GRADIENT], axis=-1)).quantize(64)
    read = decoded(encoded(palette, format, transparency=palette.getpixel((4, 2))))
    np.testing.assert_array_equal(read[:3], np.asarray(palette.convert("RGB")).transpose(2, 0, 1))
    assert read[3, 2, 4] == 0
    assert (read[3] == 255).sum() == GRADIENT.size - 1
    assert decoded(encoded(palette, transparency=bytes([128] * 64)))[3].tolist() == np.full((6, 9), 128).tolist()


def test_a_transparent_colour_becomes_alpha():
    colour = np.stack([GRADIENT, GRADIENT, GRADIENT], axis=-1)
    for pixels, transparent in ((GRADIENT, 8), (colour, (8, 8, 8))):
        read = decoded(encoded(Image.fromarray(pixels), transparency=transparent))
        np.testing.assert_array_equal(read[-1], np.where(GRADIENT == 8, 0, 255))
        np.testing.assert_array_equal(read[0], GRADIENT)
        assert len(decoded(encoded(Image.fromarray(pixels), transparency=9 if pixels.ndim == 2 else (8, 8, 9)))) in (
            1,
            3,
        )
    bilevel = decoded(encoded(Image.fromarray(GRADIENT > 100), transparency=0))
    np.testing.assert_array_equal(bilevel[1], np.where(GRADIENT > 100, 255, 0))


def png(depth: int, colour: int, row: bytes, transparent: bytes) -> bytes:
    """A PNG of one row of two pixels."""
    header = struct.pack(">IIBBBBB", 2, 1, depth, colour, 0, 0, 0)
    parts = ((b"IHDR", header), (b"tRNS", transparent), (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(("depth", "row", "grey"), [(4, b"\x3f", 51), (2, b"\x70", 85)])
def test_a_transparent_grey_of_few_bits_is_found(depth: int, row: bytes, grey: int):
    read = decoded(png(depth, 0, row, bytes([0, row[0] >> (8 - depth)])))
    assert read[:, 0].tolist() == [[grey, 255], [0, 255]]


def test_a_transparent_colour_of_sixteen_bits_is_refused():
    grey, colour = bytes.fromhex("40103333"), bytes.fromhex("401033330102 401133330102")
    for content, other in (
        (png(16, 0, grey, grey[:2]), png(16, 0, grey, b"\0\1")),
        (png(16, 2, colour, colour[:6]), png(16, 2, colour, bytes(6))),
    ):
        white: dict[Kind, float] = {"integers": 65535, "upper bytes": 255}
        with pytest.raises(UserError, match="transparent colour in 16 bits"):
            read_raster(content, "it", white=white)
        assert read_raster(other, "it", white=white).pixels is not None


@pytest.mark.parametrize(("alpha", "flattened"), [(255, False), (254, True)])
def test_alpha_that_the_channels_drop_is_noted(alpha: int, flattened: bool):
    for mode in ("RGBA", "LA"):
        content = encoded(Image.new("RGBA", (3, 2), (9, 9, 9, alpha)).convert(mode))
        assert read_raster(content, "it", channels=3).flattened is flattened
        assert not read_raster(content, "it").flattened


def test_bilevel_becomes_black_and_white():
    read = decoded(encoded(Image.fromarray(GRADIENT > 100)))
    np.testing.assert_array_equal(read[0], np.where(GRADIENT > 100, 255, 0))


def test_cmyk_becomes_rgb():
    read = decoded(encoded(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "TIFF"))
    np.testing.assert_array_equal(read[:, 0, 0], [255, 0, 0])


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits_are_measured_and_then_scaled(format: str):
    content = encoded(Image.fromarray(GRADIENT.astype(np.uint16) * 16), format)
    raster = read_raster(content, "it")
    assert raster.pixels is None
    assert raster.extent is not None
    assert (raster.extent.kind, raster.extent.low, raster.extent.high) == ("integers", 0, 3392)
    assert raster.extent.container == f"16-bit {format}"
    np.testing.assert_array_equal(decoded(content, white={"integers": 4080})[0], GRADIENT)


def test_sixteen_bits_of_a_tiff_in_which_white_is_zero_are_refused():
    content = encoded(Image.fromarray(GRADIENT.astype(np.uint16)), "TIFF", tiffinfo={262: 0})
    with pytest.raises(UserError, match="0 is white"):
        read_raster(content, "it")


def test_floats_are_measured_and_then_scaled():
    content = encoded(Image.fromarray((GRADIENT / 255).astype(np.float32)), "TIFF")
    raster = read_raster(content, "it")
    assert raster.extent is not None
    assert raster.extent.container == "floating-point TIFF"
    np.testing.assert_array_equal(decoded(content, white={"floats": 1})[0], GRADIENT)


def png_of_16_bit_colour(values: np.ndarray) -> bytes:
    """Pillow cannot write them."""
    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def test_of_16_bit_colour_the_upper_bytes_are_measured():
    values = np.full((3, 4, 3), 4095, np.uint16)
    raster = read_raster(png_of_16_bit_colour(values), "it")
    assert raster.extent is not None
    assert (raster.extent.kind, raster.extent.high) == ("upper bytes", 15)


def test_nan_pixels_are_refused():
    pixels = (GRADIENT / 255).astype(np.float32)
    pixels[2, 3] = np.nan
    with pytest.raises(UserError, match=r"scan 7.* NaN"):
        read_raster(encoded(Image.fromarray(pixels), "TIFF"), "scan 7")


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP", "WEBP", "GIF"])
def test_truncated_images_are_named(format: str):
    content = encoded(Image.effect_noise((40, 40), 80), format)
    with pytest.raises(UserError, match=r"cannot read image holiday\.x"):
        read_raster(content[: len(content) // 2], "holiday.x")


@given(st.binary(max_size=60))
def test_any_bytes_are_an_image_or_refused(content: bytes):
    with pytest.raises(UserError, match="cannot read image it"):
        read_raster(content, "it")


def test_photographs_are_turned_the_way_they_were_held():
    upright = Image.fromarray(GRADIENT)
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be turned a quarter clockwise
    sideways = upright.transpose(Image.Transpose.ROTATE_90)
    np.testing.assert_array_equal(decoded(encoded(sideways, exif=exif))[0], GRADIENT)


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_animations_the_first_frame_is_read(format: str):
    frames = [Image.new("L", (4, 4), grey) for grey in (200, 100, 50)]
    content = encoded(frames[0], format, save_all=True, append_images=frames[1:])
    raster = read_raster(content, "it")
    assert raster.animated
    assert raster.pixels is not None
    assert abs(int(raster.pixels[0, 0, 0]) - 200) < 4
    assert not read_raster(encoded(frames[0], format), "it").animated


def test_colour_profiles_and_interlacing_change_nothing():
    image = Image.fromarray(GRADIENT)
    np.testing.assert_array_equal(decoded(encoded(image, icc_profile=b"not a profile"))[0], GRADIENT)


def test_absent_file_is_named(tmp_path: Path):
    with pytest.raises(UserError, match=r"gone\.png: no such file"):
        read_raster(tmp_path / "gone.png", str(tmp_path / "gone.png"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_and_devices_are_never_opened(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    for name, word in (("pipe.png", "named pipe"), ("device.png", "device")):
        with pytest.raises(UserError, match=f"cannot read image it: .*{word}"):
            read_raster(tmp_path / name, "it")


def test_large_images_are_read_or_refused_in_one_line():
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("ignore")  # decode_splits silences Pillow for all its threads
        assert decoded(encoded(Image.new("1", (13_000, 9))), image_size=2).shape == (1, 2, 2)
        bomb = bytearray(encoded(Image.new("1", (8, 8))))
        bomb[16:24] = struct.pack(">II", 20_000, 20_000)
        bomb[29:33] = struct.pack(">I", zlib.crc32(bytes(bomb[12:29])))
        with pytest.raises(UserError, match=r"more than 178,956,970 pixels") as refused:
            read_raster(bytes(bomb), "it")
    assert "\n" not in str(refused.value)
    assert not shown


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_channels_can_be_asked_for(channels: int, mode: str):
    image = Image.fromarray(np.stack([GRADIENT, GRADIENT // 2, GRADIENT // 3, GRADIENT], axis=-1))
    read = decoded(encoded(image), channels=channels)
    assert read.shape == (channels, 6, 9)
    np.testing.assert_array_equal(read, np.asarray(image.convert(mode)).reshape(6, 9, -1).transpose(2, 0, 1))


@pytest.mark.parametrize("size", [(30, 12), (12, 30), (6, 6), (24, 24)])
def test_image_size_shrinks_the_shorter_side_and_cuts_the_centre(size: tuple[int, int]):
    image = Image.effect_noise(size, 60)
    shrunk = image.resize((size[0] * 6 // min(size), size[1] * 6 // min(size)), Image.Resampling.BILINEAR)
    left, top = (shrunk.width - 6) // 2, (shrunk.height - 6) // 2
    expected = np.asarray(shrunk.crop((left, top, left + 6, top + 6)))
    np.testing.assert_array_equal(decoded(encoded(image), image_size=6)[0], expected)
