"""CutMix: boxes exchanged between the images of a batch."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def cutmix(images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """CutMix: a box of each image comes from another of the batch, and its share of the label with it.

    Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features", ICCV 2019
    (arXiv:1905.04899), with lambda ~ U(0, 1) and one box a batch, as there.

    Args:
        images: (N, C, H, W).
        labels: probabilities (N, classes).
        generator: a CPU generator.
    """
    height, width = images.shape[2:]
    kept, row, column = torch.rand(3, generator=generator).tolist()
    order = torch.randperm(len(images), generator=generator).to(images.device)
    half = math.sqrt(1 - kept) / 2
    top, bottom = (int(min(max(row + end * half, 0), 1) * height + 0.5) for end in (-1, 1))
    left, right = (int(min(max(column + end * half, 0), 1) * width + 0.5) for end in (-1, 1))
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = images[order, :, top:bottom, left:right]
    share = (bottom - top) * (right - left) / (height * width)
    return mixed, (1 - share) * labels + share * labels[order]
