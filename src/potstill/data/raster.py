"""One encoded image: the formats that are read, and its pixels as bytes or as the numbers that it stores."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageFile, ImageOps, features

from potstill.data.found import Content
from potstill.data.pixels import Extent, Kind, measure, to_bytes
from potstill.data.shaping import resize_bands
from potstill.runtime.errors import UserError
from potstill.runtime.reading import open_regular

FORMATS: Mapping[str, tuple[str, ...]] = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "PPM": (".pbm", ".pgm", ".ppm", ".pnm", ".pfm"),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif", ".avifs"),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    "PCX": (".pcx",),
    "QOI": (".qoi",),
    "SGI": (".sgi", ".rgb", ".rgba", ".bw"),
    "TGA": (".tga", ".icb", ".vda", ".vst"),
}
"""Raster formats whose readers start no program, with their suffixes. EPS, PDF and WMF, for example, are not read."""
OPTIONAL = {"WEBP": "webp", "AVIF": "avif", "JPEG2000": "jpg_2000"}
"""Formats that Pillow may have been built without, and what it calls them."""

ALPHA_MODES = ("LA", "RGBA")
KEPT_MODES = ("L", "RGB", *ALPHA_MODES)
PHOTOMETRIC = 262  # TIFF's tag that says whether 0 is black or white; Pillow heeds it in 8 bits alone
ANIMATED = ("GIF", "PNG", "WEBP", "AVIF", "TIFF")
REMEDY = "replace the file or remove it from the dataset"

_LOADING = threading.Lock()


class Raster(NamedTuple):
    """A decoded image.

    Attributes:
        pixels: uint8 (C, H, W); None if the numbers are not bytes and what white is has yet to be judged.
        shape: (C, H, W), also where there are no pixels yet.
        extent: the range of the numbers, if they are not plain bytes.
        animated: whether there are more frames than the first, which alone was read.
        flattened: whether it is transparent in places, but its alpha was dropped for the channels that were asked for.
    """

    pixels: np.ndarray | None
    shape: tuple[int, int, int]
    extent: Extent | None = None
    animated: bool = False
    flattened: bool = False


@cache
def readable_suffixes() -> frozenset[str]:
    """The suffixes, in lower case, of the image files that are read with this Pillow."""
    return frozenset(suffix for name in _readable_formats() for suffix in FORMATS[name])


def read_raster(
    content: Content,
    where: str,
    *,
    image_size: int | None = None,
    channels: int | None = None,
    white: Mapping[Kind, float] | None = None,
) -> Raster:
    """Decode one image.

    Args:
        content: its bytes or file, or Pillow's image, which is not changed.
        where: its name in errors.
        image_size: the side in pixels: the shorter side is resized to it (bilinear, antialiased), then the central
            square is cut out; None keeps the size.
        channels: 1 or 3 converts the image to grey or RGB; None keeps the channels.
        white: the number that is white for each kind; None measures numbers other than bytes instead of scaling them.

    Raises:
        UserError: the image is unreadable, truncated, too large or of a format that is not read, or has NaN pixels.
    """
    try:
        with _opened(content) as image:
            white_is_zero = getattr(image, "tag_v2", {}).get(PHOTOMETRIC, 1) == 0
            animated = image.format in ANIMATED and bool(getattr(image, "is_animated", False))
            container, factor = _container(image), _factor_of_transparency(image)
            image.load()
            own = image.copy() if isinstance(content, Image.Image) else image
            if factor is not None:
                own.info["transparency"] *= factor
            ImageOps.exif_transpose(own, in_place=True)
            return _raster(own, where, container, image_size, channels, white, animated, white_is_zero)
    except UserError:
        raise
    except Exception as error:  # Pillow's readers raise nearly anything on a damaged file
        raise UserError(f"cannot read image {where}: {_reason(error)}", REMEDY) from error


@contextmanager
def _opened(content: Content) -> Iterator[Image.Image]:
    """An image that may not be loaded yet; Pillow's own, which others may hold too, by one thread at a time."""
    if isinstance(content, Image.Image):
        with _LOADING:
            yield content
        return
    with (
        io.BytesIO(content) if isinstance(content, bytes) else open_regular(content) as stream,
        Image.open(stream, formats=_readable_formats()) as image,
    ):
        yield image


def _raster(
    image: Image.Image,
    where: str,
    container: str | None,
    image_size: int | None,
    channels: int | None,
    white: Mapping[Kind, float] | None,
    animated: bool,
    white_is_zero: bool,
) -> Raster:
    extent = None
    if image.mode.startswith("I") or image.mode == "F":  # numbers that need not be bytes
        if white_is_zero:
            raise UserError(f"image {where} is a TIFF in which 0 is white, read only with 8 bits", "store it inverted")
        values = np.asarray(image)
        extent = measure(values, where, container)
        if white is None:
            height, width = values.shape if image_size is None else (image_size, image_size)
            return Raster(None, (channels or 1, height, width), extent, animated)
        _check_opaque(values[..., None], image.info.get("transparency"), where)
        image = Image.fromarray(to_bytes(values, white[extent.kind], where))
    else:
        if container is not None and image.mode == "RGB":
            _check_opaque(np.asarray(image), image.info.get("transparency"), where, stored_bits=16)
        elif image.mode not in ALPHA_MODES and image.has_transparency_data:
            image = _with_alpha(image)
        if image.mode not in KEPT_MODES:
            image = image.convert("L" if image.mode == "1" else "RGB")
    flattened = False
    if channels is not None:
        flattened = image.mode in ALPHA_MODES and _is_transparent(image)
        image = image.convert("L" if channels == 1 else "RGB")
    if image_size is not None:
        pixels = resize_bands(image.split(), image_size)
    else:
        pixels = np.asarray(image)
        pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    if container is not None and extent is None:
        extent = Extent("upper bytes", container, pixels.min().item(), pixels.max().item(), where)
    return Raster(pixels, pixels.shape, extent, animated, flattened)


def _with_alpha(image: Image.Image) -> Image.Image:
    """An image of which a colour or entries of the palette are transparent, with that as alpha if a pixel is."""
    converted = image.convert("LA" if image.mode in ("1", "L", "La") else "RGBA")
    return converted if _is_transparent(converted) else image


def _is_transparent(image: Image.Image) -> bool:
    """Whether some pixel of an image with alpha is not opaque."""
    return np.asarray(image)[..., -1].min().item() < 255


def _factor_of_transparency(image: Image.Image) -> int | None:
    """The factor that scales the transparent grey of a PNG of 2 or 4 bits to 8 bits; Pillow scales only the pixels.

    It must be asked for before the image is loaded.
    """
    if not (isinstance(image, ImageFile.ImageFile) and image.format == "PNG" and "transparency" in image.info):
        return None
    return {"L;2": 85, "L;4": 17}.get(str(image.tile[0].args) if image.tile else "")


def _check_opaque(values: np.ndarray, transparent: Any, where: str, stored_bits: int = 8) -> None:
    """Refuse an image of more than 8 bits in which a colour is transparent: alpha is read in 8 bits alone.

    Args:
        values: the numbers that Pillow keeps, (H, W, C); of colour, the upper 8 of 16 bits.
        transparent: the number, or the three, that stand for a transparent pixel; None if there are none.
        where: the image's name in errors.
        stored_bits: those of the file, if ``values`` has only the upper 8 of them.

    Raises:
        UserError: a pixel may be transparent.
    """
    if transparent is not None and (values == np.asarray(transparent) >> (stored_bits - 8)).all(axis=-1).any():
        raise UserError(
            f"image {where} has a transparent colour in 16 bits, which is not read", "store 8 bits, or alpha"
        )


def _container(image: Image.Image) -> str | None:
    """How numbers other than bytes are stored, in words; None for bytes.

    Pillow has no colour image of 16 bits: it keeps the upper byte of each number.
    """
    if image.mode in ("L", "P", "1"):
        return None
    if image.mode == "F":
        return f"floating-point {image.format or 'image'}"
    if image.format is None:
        return f"an image of Pillow's mode {image.mode}" if image.mode.startswith("I") else None
    if image.mode.startswith("I"):
        return f"{'32' if image.format == 'TIFF' and image.mode == 'I' else '16'}-bit {image.format}"
    if image.format in ("PNG", "TIFF") and ";16" in str(getattr(image, "tile", [])[:1]):
        return f"16-bit colour {image.format}"
    return None


@cache
def _readable_formats() -> tuple[str, ...]:
    Image.init()
    return tuple(
        name for name in FORMATS if name in Image.OPEN and (name not in OPTIONAL or features.check(OPTIONAL[name]))
    )


def _reason(error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "not in a format that is supported"
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, Image.DecompressionBombError):
        return f"it has more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels"
    return str(error) or type(error).__name__
