"""CutMix: boxes are exchanged between the images of a batch."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def cutmix(images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Replace a box of each image by that of another image of the batch, and the same share of its label.

    Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features", ICCV 2019
    (arXiv:1905.04899), with lambda ~ U(0, 1) and one box per batch, as there. A box is cut off at the
    border; the share of the label is that of the pixels that are really replaced.

    Args:
        images: (N, C, H, W).
        labels: probabilities (N, classes).
        generator: a CPU generator.

    Returns:
        The mixed images (N, C, H, W) and labels (N, classes).
    """
    height, width = images.shape[2:]
    kept, row, column = torch.rand(3, generator=generator).tolist()
    order = torch.randperm(len(images), generator=generator).to(images.device)
    half = math.sqrt(1 - kept) / 2
    top, bottom = _interval(row, half, height)
    left, right = _interval(column, half, width)
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = images[order, :, top:bottom, left:right]
    share = (bottom - top) * (right - left) / (height * width)
    return mixed, (1 - share) * labels + share * labels[order]


def _interval(centre: float, half: float, side: int) -> tuple[int, int]:
    """The first pixel of an interval and the first one after it; ``centre`` and ``half`` are fractions of ``side``."""
    first, end = (int(min(max(centre + sign * half, 0), 1) * side + 0.5) for sign in (-1, 1))
    return first, end
