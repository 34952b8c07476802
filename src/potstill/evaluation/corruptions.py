"""Corruptions of test images in five severities. They are this program's own, and no published benchmark's.

The kinds are among those of Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", ICLR 2019 (arXiv:1903.12261), whose images cannot be reproduced; results cannot be compared with theirs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.schema.attacks import Corruption

Corrupt = Callable[[Tensor, float, torch.Generator], Tensor]
"""From pixels (n, C, H, W) in [0, 1], an amount and a generator to pixels, not yet brought back to [0, 1]."""


def corrupted(pixels: Tensor, kind: Corruption, severity: int, generator: torch.Generator) -> Tensor:
    """Corrupt images.

    Args:
        pixels: float (n, C, H, W) in [0, 1].
        kind: the corruption.
        severity: 1 to 5.
        generator: of all draws, on the CPU.

    Returns:
        The corrupted pixels, in [0, 1].
    """
    corrupt, amounts = _CORRUPTIONS[kind]
    return corrupt(pixels, amounts[severity - 1], generator).clamp(0, 1)


def _gaussian_noise(pixels: Tensor, std: float, generator: torch.Generator) -> Tensor:
    return pixels + std * torch.randn(pixels.shape, generator=generator).to(pixels)


def _shot_noise(pixels: Tensor, photons: float, generator: torch.Generator) -> Tensor:
    """Poisson counts, as of so many photons in a white pixel."""
    return (torch.poisson(pixels.cpu() * photons, generator=generator) / photons).to(pixels)


def _impulse_noise(pixels: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """A share of the pixels, of each channel by itself, becomes black or white."""
    drawn = torch.rand(pixels.shape, generator=generator).to(pixels)
    return pixels.masked_fill(drawn < share / 2, 0.0).masked_fill(drawn > 1 - share / 2, 1.0)


def _blur(pixels: Tensor, sigma: float, _: torch.Generator) -> Tensor:
    """A Gaussian blur, with a standard deviation in parts of the image's height."""
    channels, height, width = pixels.shape[1:]
    wide = sigma * height
    reach = min(max(math.ceil(3 * wide), 1), height - 1, width - 1)
    at = torch.arange(-reach, reach + 1).to(pixels)
    weights = torch.exp(-0.5 * (at / wide) ** 2)
    weights = (weights / weights.sum()).expand(channels, 1, -1)
    blurred = F.pad(pixels, (reach, reach, reach, reach), mode="reflect")
    blurred = F.conv2d(blurred, weights[:, :, None, :], groups=channels)
    return F.conv2d(blurred, weights[:, :, :, None], groups=channels)


def _contrast(pixels: Tensor, factor: float, _: torch.Generator) -> Tensor:
    """Towards the mean of each image."""
    mean = pixels.mean((1, 2, 3), keepdim=True)
    return mean + factor * (pixels - mean)


def _brightness(pixels: Tensor, more: float, _: torch.Generator) -> Tensor:
    return pixels + more


def _translation(pixels: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """By a share of the image's size, in a random direction."""
    angles = 2 * math.pi * torch.rand(len(pixels), generator=generator)
    return _moved(pixels, torch.zeros(len(pixels)), 2 * share * torch.stack([angles.cos(), angles.sin()], 1))


def _rotation(pixels: Tensor, degrees: float, generator: torch.Generator) -> Tensor:
    """By an angle, in a random sense."""
    senses = 2.0 * torch.randint(2, (len(pixels),), generator=generator) - 1
    return _moved(pixels, math.radians(degrees) * senses, torch.zeros(len(pixels), 2))


def _moved(pixels: Tensor, angles: Tensor, shifts: Tensor) -> Tensor:
    """Images turned by angles (n,) and shifted by (n, 2), in halves of their size; what comes in is black."""
    turned = torch.stack(
        [torch.stack([angles.cos(), -angles.sin()], 1), torch.stack([angles.sin(), angles.cos()], 1)], 1
    )
    places = torch.cat([turned, shifts[:, :, None]], 2).to(pixels)
    grid = F.affine_grid(places, list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


_CORRUPTIONS: Mapping[Corruption, tuple[Corrupt, tuple[float, float, float, float, float]]] = {
    "gaussian noise": (_gaussian_noise, (0.05, 0.1, 0.15, 0.2, 0.3)),
    "shot noise": (_shot_noise, (60.0, 25.0, 12.0, 6.0, 3.0)),
    "impulse noise": (_impulse_noise, (0.02, 0.05, 0.1, 0.15, 0.25)),
    "blur": (_blur, (0.04, 0.06, 0.08, 0.1, 0.13)),
    "contrast": (_contrast, (0.75, 0.6, 0.45, 0.3, 0.15)),
    "brightness": (_brightness, (0.1, 0.2, 0.3, 0.4, 0.5)),
    "translation": (_translation, (0.03, 0.06, 0.1, 0.15, 0.2)),
    "rotation": (_rotation, (8.0, 16.0, 24.0, 32.0, 45.0)),
}
"""Each corruption, with its amount for each severity."""
