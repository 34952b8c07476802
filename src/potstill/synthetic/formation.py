"""Multi-formation: a stored image holds factor × factor small pictures, which are cut out and enlarged before use.

Jang-Hyun Kim et al., "Dataset Condensation via Efficient Synthetic-Data Parameterization", ICML 2022
(arXiv:2205.14959). The pictures of an image are its tiles, row by row. A side that the factor does not divide is first
extended at the right or at the bottom by repeating its last pixels; the published program extends it in grey, which has
no counterpart in whitened images.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.runtime.errors import UserError
from potstill.schema.set_file import largest_formation


def check_factor(factor: int, height: int, width: int) -> None:
    """Make sure that images can be divided into ``factor`` × ``factor`` pictures.

    Args:
        factor: the pictures along each side.
        height: of an image, in pixels.
        width: of an image, in pixels.

    Raises:
        UserError: the factor is below 1, or the pictures would be smaller than 2 × 2 pixels.
    """
    if factor > 1 and (height, width) == (1, 1):
        raise UserError("vectors have no formation: it is for images", "leave `formation` out")
    largest = largest_formation(height, width)
    if not 1 <= factor <= largest:
        raise UserError(
            f"a formation of {factor} does not suit images of {width}×{height} pixels",
            f"use a whole number from 1 to {largest}; 2 is usual",
        )


def enlarged(stored: Tensor, factor: int) -> Tensor:
    """The pictures in stored images, each enlarged to the size of an image (bilinear).

    Args:
        stored: (N, C, H, W).
        factor: the pictures along each side.

    Returns:
        (N · factor², C, H, W): the pictures of the first image, row by row, then those of the second.
    """
    if factor == 1:
        return stored
    height, width = stored.shape[2:]
    tile_height, tile_width = tile_size(height, width, factor)
    padding = (0, factor * tile_width - width, 0, factor * tile_height - height)
    tiles = (
        F.pad(stored, padding, mode="replicate").unfold(2, tile_height, tile_height).unfold(3, tile_width, tile_width)
    )
    pictures = tiles.permute(0, 2, 3, 1, 4, 5).flatten(0, 2)
    return F.interpolate(pictures, size=(height, width), mode="bilinear", align_corners=False)


def pulled_back(gradient: Tensor, factor: int) -> Tensor:
    """The gradient with respect to stored images (N, C, H, W), given that with respect to their enlarged pictures.

    The enlargement is linear, so the gradient does not depend on the images.

    Args:
        gradient: (N · factor², C, H, W).
        factor: the pictures along each side.
    """
    if factor == 1:
        return gradient
    stored = torch.zeros_like(gradient[:: factor**2], requires_grad=True)
    with torch.enable_grad():
        (back,) = torch.autograd.grad(enlarged(stored, factor), stored, gradient)
    return back


def formed(images: Tensor, factor: int) -> Tensor:
    """Images shrunk (bilinear, antialiased) and put together, factor² to each stored image: a start for ``enlarged``.

    Args:
        images: (N · factor², C, H, W).
        factor: the pictures along each side.

    Returns:
        (N, C, H, W); of images whose side the factor does not divide, the last tiles are cut off at the border.
    """
    if factor == 1:
        return images
    height, width = images.shape[2:]
    size = tile_size(height, width, factor)
    small = F.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=True)
    return put_together(small, factor, (height, width))


def put_together(tiles: Tensor, factor: int, size: tuple[int, int]) -> Tensor:
    """Stored images of given tiles, factor² to each.

    Args:
        tiles: (N · factor², C, h, w), of the size that ``tile_size`` returns.
        factor: the pictures along each side.
        size: (H, W) of a stored image.

    Returns:
        (N, C, H, W), the last tiles cut off at the border if the factor does not divide a side.
    """
    rows = tiles.unflatten(0, (-1, factor, factor)).permute(0, 3, 1, 4, 2, 5)
    return rows.flatten(4, 5).flatten(2, 3)[:, :, : size[0], : size[1]].contiguous()


def tile_size(height: int, width: int, factor: int) -> tuple[int, int]:
    """Height and width of a tile of an image of this height and width."""
    return math.ceil(height / factor), math.ceil(width / factor)
