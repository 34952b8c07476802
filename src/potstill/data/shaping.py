"""Arrays of images: one size, and as many channels as the richest of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from potstill.runtime.errors import UserError


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


def stack_images(images: list[tuple[np.ndarray, str]]) -> Tensor:
    """Stack images of one size; empties the list to save memory.

    Args:
        images: uint8 (C, H, W) and its name in errors, for each.

    Returns:
        uint8 (N, C, H, W) with the channels of the richest image.

    Raises:
        UserError: the images differ in size.
    """
    if not images:
        return torch.empty(0, 1, 1, 1, dtype=torch.uint8)
    (first, first_name) = images[0]
    for image, name in images:
        check_same_size(first.shape, first_name, image.shape, name)
    channels = richest(image.shape[0] for image, _ in images)
    stacked = torch.empty(len(images), channels, *first.shape[1:], dtype=torch.uint8)
    target = stacked.numpy()
    for index in reversed(range(len(images))):
        target[index] = with_channels(images.pop()[0], channels)
    return stacked


def check_same_size(shape: tuple[int, ...], where: str, other: tuple[int, ...], other_where: str) -> None:
    """Check that two images of shape (C, H, W) have the same height and width.

    Args:
        shape: of one image.
        where: its name in errors.
        other: the shape of the other.
        other_where: its name in errors.

    Raises:
        UserError: they differ in size.
    """
    if shape[1:] != other[1:]:
        (height, width), (other_height, other_width) = shape[1:], other[1:]
        raise UserError(
            f"images differ in size: {where} is {width}×{height}, {other_where} is {other_width}×{other_height}",
            "resize them with `image_size`",
        )


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
