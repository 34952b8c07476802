"""From encoded images, or arrays of any number type, to one uint8 array (N, C, H, W)."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from potstill.runtime.errors import UserError
from potstill.runtime.parallel import core_count

KEPT_MODES = ("L", "LA", "RGB", "RGBA")
CHUNK = 64  # images per task: enough to hide the cost of handing them to a thread
WAITING = 64  # the most tasks between the reader and the decoders

Named = tuple[bytes | Path, str]  # an encoded image or its file, and its name in errors
Decoded = list[tuple[np.ndarray, str]]  # uint8 (C, H, W), and its name in errors


def decode_images(encoded: Iterable[Named], *, image_size: int | None = None, channels: int | None = None) -> Tensor:
    """Decode images, several at a time, into one array.

    Grey images keep one channel, and an alpha channel is kept. Palette, CMYK and other colour spaces become RGB; 16
    bits are scaled to 8, floating point in [0, 1] to 255. If the images differ in channels, all get those of the
    richest: grey is repeated, missing alpha is opaque.

    Args:
        encoded: for each image its bytes or file, and its name in errors.
        image_size: the side in pixels: the shorter side is resized to it (bilinear, antialiased), then the central
            square is cut out; None keeps the size.
        channels: 1 or 3 converts every image to grey or RGB; None keeps the channels.

    Returns:
        uint8 (N, C, H, W).

    Raises:
        UserError: an image is unreadable, truncated or has NaN pixels, or sizes differ and ``image_size`` is None.
    """

    def decode_chunk(chunk: list[Named]) -> Decoded:
        return [(decode_image(content, where, image_size, channels), where) for content, where in chunk]

    with ThreadPoolExecutor(max_workers=core_count()) as pool:
        return stack_images(_in_order(pool, decode_chunk, _chunks(encoded, CHUNK)))


def decode_image(
    content: bytes | Path, where: str, image_size: int | None = None, channels: int | None = None
) -> np.ndarray:
    """Decode one image.

    Args:
        content: its bytes or file.
        where: its name in errors.
        image_size: as in :func:`decode_images`.
        channels: as in :func:`decode_images`.

    Returns:
        uint8 (C, H, W).

    Raises:
        UserError: the image is unreadable, truncated or has NaN pixels.
    """
    try:
        with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as image:
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            image = to_kept_mode(image, where)
    except UserError:
        raise
    except Exception as error:  # Pillow's readers raise nearly anything on a damaged file
        raise UserError(
            f"cannot read image {where}: {_reason(error)}", "replace the file or remove it from the dataset"
        ) from error
    if channels is not None:
        image = image.convert("L" if channels == 1 else "RGB")
    if image_size is not None:
        return resize_bands(image.split(), image_size)
    pixels = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def to_kept_mode(image: Image.Image, where: str) -> Image.Image:
    """Convert an image to 8-bit grey or RGB, with or without alpha.

    Raises:
        UserError: its values cannot be converted to 8 bits.
    """
    if image.mode in KEPT_MODES:
        return image
    if image.mode == "1":
        return image.convert("L")
    if image.mode.startswith("I") or image.mode == "F":  # some versions of Pillow open 16-bit files as "I"
        values = np.asarray(image)
        return Image.fromarray(to_bytes(values.astype(np.uint16) if _fits_16_bits(values) else values, where))
    return image.convert("RGB")


def to_bytes(values: np.ndarray, where: str, *, floats_end_at: float = 1) -> np.ndarray:
    """Convert pixels of any number type to uint8 of the same shape.

    Booleans become 0 and 255, 16-bit integers are divided by 257, other integers must lie in [0, 255].

    Args:
        values: the pixels.
        where: their name in errors.
        floats_end_at: the value of white in floating point; pixels must lie in [0, floats_end_at].

    Raises:
        UserError: NaN or infinite pixels, or values outside the range.
    """
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * 255
    if values.dtype == np.uint16:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    floating = np.issubdtype(values.dtype, np.floating)
    if not floating and not np.issubdtype(values.dtype, np.integer):
        raise UserError(f"pixels of {where} are not numbers ({values.dtype})", "store uint8")
    if floating and not (finite := np.isfinite(values)).all():
        first = tuple(int(index) for index in np.argwhere(~finite)[0])
        raise UserError(f"{where} has NaN or infinite pixels (the first at {first})", "repair the image or remove it")
    white = floats_end_at if floating else 255
    low, high = (values.min().item(), values.max().item()) if values.size else (0, 0)
    if low < 0 or high > white:
        raise UserError(f"pixels of {where} lie in [{low:g}, {high:g}] instead of [0, {white:g}]", "rescale them")
    return np.rint(values * (255 / white)).astype(np.uint8)


def resize_bands(bands: Sequence[Image.Image], size: int) -> np.ndarray:
    """Resize the shorter side to ``size`` (bilinear, antialiased) and cut the central square.

    Returns:
        uint8 (bands, size, size).
    """
    width, height = bands[0].size
    scale = size / min(width, height)
    width, height = max(size, round(width * scale)), max(size, round(height * scale))
    left, top = (width - size) // 2, (height - size) // 2
    shrunk = [band.resize((width, height), Image.Resampling.BILINEAR) for band in bands]
    return np.stack([np.asarray(band)[top : top + size, left : left + size] for band in shrunk])


def resize_arrays(images: np.ndarray, size: int) -> np.ndarray:
    """Apply :func:`resize_bands` to every image of uint8 (N, C, H, W)."""
    if images.shape[2:] == (size, size):
        return images
    return np.stack([resize_bands([Image.fromarray(band) for band in image], size) for image in images])


def stack_images(images: Decoded) -> Tensor:
    """Stack images of one size into uint8 (N, C, H, W); empties the list to save memory.

    Raises:
        UserError: the images differ in size.
    """
    if not images:
        return torch.empty(0, 1, 1, 1, dtype=torch.uint8)
    (first, first_name) = images[0]
    for image, name in images:
        if image.shape[1:] != first.shape[1:]:
            (height, width), (other_height, other_width) = first.shape[1:], image.shape[1:]
            raise UserError(
                f"images differ in size: {first_name} is {width}×{height}, {name} is {other_width}×{other_height}",
                "resize them with --image-size",
            )
    channels = richest(image.shape[0] for image, _ in images)
    stacked = torch.empty(len(images), channels, *first.shape[1:], dtype=torch.uint8)
    target = stacked.numpy()
    for index in reversed(range(len(images))):
        target[index] = with_channels(images.pop()[0], channels)
    return stacked


def richest(channels: Iterable[int]) -> int:
    """The fewest channels that hold every image: colour if any has colour, alpha if any has alpha."""
    seen = set(channels)
    return (3 if seen & {3, 4} else 1) + bool(seen & {2, 4})


def with_channels(images: np.ndarray, channels: int) -> np.ndarray:
    """Give images, uint8 (..., C, H, W), more channels: grey is repeated, alpha is opaque."""
    present = images.shape[-3]
    if present == channels:
        return images
    has_alpha = present in (2, 4)
    base = images[..., : present - has_alpha, :, :]
    if channels >= 3 and present < 3:
        base = np.repeat(base, 3, axis=-3)
    if channels in (1, 3):
        return base
    opacity = images[..., -1:, :, :] if has_alpha else np.full_like(images[..., :1, :, :], 255)
    return np.concatenate([base, opacity], axis=-3)


def _fits_16_bits(values: np.ndarray) -> bool:
    return np.issubdtype(values.dtype, np.integer) and values.min() >= 0 and values.max() < 2**16


def _reason(error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "not in an image format that Pillow can read"
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return str(error) or type(error).__name__


def _chunks(items: Iterable[Named], size: int) -> Iterator[list[Named]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def _in_order(pool: Executor, decode: Callable[[list[Named]], Decoded], chunks: Iterable[list[Named]]) -> Decoded:
    """Decode chunks in parallel, in order; unlike ``pool.map`` this keeps only a few encoded chunks in memory."""
    waiting: deque[Future[Decoded]] = deque()
    decoded: Decoded = []
    for chunk in chunks:
        waiting.append(pool.submit(decode, chunk))
        if len(waiting) > WAITING:
            decoded += waiting.popleft().result()
    for future in waiting:
        decoded += future.result()
    return decoded
