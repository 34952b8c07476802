"""ZCA whitening: pixels are decorrelated, and still look like the image."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from potstill.runtime.errors import UserError
from potstill.runtime.parallel import one_thread

LARGEST_DIMENSION = 3 * 64 * 64  # above it the matrix takes gigabytes and its eigenvectors an hour


@dataclass(frozen=True, eq=False)
class Whitening:
    """An affine map from normalised to whitened images: ``whitened = (x - mean) @ matrix.T`` with flattened images.

    ZCA (Bell and Sejnowski, 1997) of pixels scaled to [0, 1], as in MTT (Cazenavette et al., 2022) and its successors:
    W = U (S + eps)^(-1/2) U^T with U S U^T the covariance. Since ``x`` comes normalised per channel, the
    matrix is W times the channels' standard deviations, so whitened pixels agree with those of the papers.

    Attributes:
        matrix: float32 (D, D), D = C·H·W.
        mean: float32 (D,), in normalised units.
    """

    matrix: Tensor
    mean: Tensor

    @cached_property
    def inverse(self) -> Tensor:
        """float32 (D, D): the inverse of ``matrix``."""
        return torch.linalg.inv(self.matrix.cpu().double()).float().to(self.matrix.device)

    def apply(self, images: Tensor) -> Tensor:
        """Whiten normalised images (N, C, H, W); differentiable."""
        matrix, mean = self.matrix.to(images.dtype), self.mean.to(images.dtype)
        return ((images.flatten(1) - mean) @ matrix.T).view_as(images)

    def invert(self, images: Tensor) -> Tensor:
        """Recover normalised images from whitened ones (N, C, H, W); differentiable."""
        inverse, mean = self.inverse.to(images.dtype), self.mean.to(images.dtype)
        return (images.flatten(1) @ inverse.T + mean).view_as(images)

    def to(self, device: torch.device | str) -> Whitening:
        """A copy on ``device``."""
        return Whitening(self.matrix.to(device), self.mean.to(device))


def fit_whitening(
    images: Tensor, mean: tuple[float, ...], std: tuple[float, ...], *, eps: float = 0.1, chunk: int = 1000
) -> Whitening:
    """Fit ZCA to real training images. On a CPU the bits do not depend on the number of cores.

    Args:
        images: uint8 (N, C, H, W), N at least 2.
        mean: of each channel, with which images are normalised before they are whitened.
        std: of each channel, likewise.
        eps: added to the eigenvalues of the covariance of pixels in [0, 1]; 0.1 in the papers.
        chunk: the number of images that are converted to floating point at a time, which bounds the memory.

    Raises:
        UserError: the images are too large for a dense covariance.
    """
    dimension = images[0].numel()
    if dimension > LARGEST_DIMENSION:
        raise UserError(
            f"ZCA of images of {dimension} values needs a {dimension}×{dimension} matrix",
            "omit `zca` or use a smaller `image_size`",
        )
    with one_thread():
        pixel_mean, covariance = _moments((part.flatten(1).double() / 255 for part in images.split(chunk)), dimension)
        variances, directions = torch.linalg.eigh(covariance)
        whiten = (directions * (variances.clamp(min=0) + eps).rsqrt()) @ directions.T
    area = dimension // images.shape[1]
    channel_mean, channel_std = (
        torch.tensor(values, dtype=torch.float64, device=images.device).repeat_interleave(area)
        for values in (mean, std)
    )
    return Whitening((whiten * channel_std).float(), ((pixel_mean - channel_mean) / channel_std).float())


def _moments(parts: Iterable[Tensor], dimension: int) -> tuple[Tensor, Tensor]:
    """Mean (D,) and unbiased covariance (D, D) of rows that come in parts."""
    count, total, products = 0, torch.zeros(dimension).double(), torch.zeros(dimension, dimension).double()
    for part in parts:
        total, products = total.to(part.device), products.to(part.device)
        count += len(part)
        total += part.sum(0)
        products += part.T @ part
    mean = total / count
    return mean, (products - count * torch.outer(mean, mean)) / (count - 1)
