"""The units of pixels: files do not state them, so they are asked for, and compared with what the pixels look like."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from potstill.runtime.errors import UserError
from potstill.schema.shapes import is_vector

Pixels = Literal["normalised", "whitened", "unit", "bytes", "raw"]
"""``normalised`` by mean and standard deviation; ``whitened`` by ZCA after that; in the ``unit`` interval; 0 to 255; of
vectors, ``raw`` as those of the dataset."""

RANGES: Mapping[str, tuple[float, float]] = {"unit": (-0.05, 1.05), "bytes": (-0.5, 255.5)}
"""Where pixels of these units lie; optimised ones are often a little outside of 0 to 1."""
LEAST_LIKE = 0.35
"""Neighbouring pixels of whitened photographs correlate less, those of others more."""
FAR, MOST_FAR = (-0.5, 1.5), 0.95
"""Distilled pixels leave black to white, but not nearly all of them go so far."""
MEAN_APART, ERRORS = 0.1, 3
"""How far the mean of a channel is from the dataset's, beyond so many standard errors over the images: distilled images
vary up to ten times as much as real ones, and yet keep their mean."""
FARTHEST_VECTORS = 10
"""Distilled vectors do not lie so many times as far from the mean of the dataset as its own do."""
LEAST_SPREAD = 0.55
"""Nor do they vary less than this share of what real ones do."""


def check_units(images: Tensor, pixels: str | None) -> Pixels:
    """The units that were named, if the pixels can be in them.

    Args:
        images: (N, C, H, W), as they are in a file.
        pixels: the units; None if they were not named.

    Raises:
        UserError: they were not named and are not plain from the type, or do not apply, or the pixels lie outside the
            range.
    """
    if is_vector(images.shape[1:]):
        if pixels not in ("normalised", "raw"):
            said = "" if pixels is None else f"`pixels={pixels}` does not apply to vectors: "
            raise UserError(
                f"{said}the file does not say whether its vectors are normalised ({_range(images)})",
                "use `pixels=raw` (as the dataset's), or normalised (by mean and std)",
            )
        return pixels
    if pixels == "raw":
        raise UserError(
            "`pixels=raw` applies to vectors, and these are images", "use `pixels=unit`, or the units that they are in"
        )
    if pixels is None and images.dtype == torch.uint8:
        return "bytes"
    if pixels is None or pixels not in get_args(Pixels):
        said = "" if pixels is None else f"`pixels={pixels}` is unknown: "
        raise UserError(
            f"{said}the file does not say in what units its pixels are ({_range(images)})",
            "use `pixels=normalised` (by mean and std), or whitened (ZCA too), unit (0 to 1) or bytes",
        )
    if pixels in RANGES:
        low, high = RANGES[pixels]
        least, most = float(images.min()), float(images.max())
        if not low <= least <= most <= high or (pixels == "bytes" and images.is_floating_point() and most <= 2):
            raise UserError(
                f"these pixels are not in `pixels={pixels}`: they have {_range(images)}",
                "use `pixels=normalised`, or the units that they are in",
            )
    return pixels  # type: ignore[return-value]


def suspicions(images: Tensor, pixels: Pixels) -> list[str]:
    """What speaks against the units that were named, a sentence each.

    Args:
        images: float32 (N, C, H, W), as they are in a file.
        pixels: the units.
    """
    found = []
    low, high = float(images.min()), float(images.max())
    if pixels == "normalised" and low >= 0 and high <= 1:
        found.append(f"these pixels have {_range(images)}: they look like pixels from 0 to 1, not normalised ones")
    if pixels in ("normalised", "whitened") and high > 30:
        found.append(f"these pixels have {_range(images)}: they look like bytes")
    likeness = _likeness(images)
    if pixels == "whitened" and likeness > LEAST_LIKE:
        found.append(f"neighbouring pixels correlate by {likeness:.2f}: these do not look whitened")
    if pixels == "normalised" and images.shape[1] == 3 and likeness < LEAST_LIKE:
        found.append(f"neighbouring pixels correlate by {likeness:.2f} only: these look whitened, or like noise")
    return found


def unlikely(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> str | None:
    """What speaks against the mean and standard deviation by which pixels were normalised, in a sentence.

    Args:
        images: float32 (N, C, H, W), with black at 0 and white at 1 if they were right.
        mean: of each channel of the dataset.
        std: likewise.
    """
    remedy = "check by which mean and standard deviation they are normalised"
    far = float(((images < FAR[0]) | (images > FAR[1])).float().mean())
    if far > MOST_FAR:
        return f"{far:.0%} of these pixels lie far beyond black and white: {remedy}"
    each = images.flatten(2).mean(2)
    error = each.std(0) / math.sqrt(len(each)) if len(each) > 1 else torch.full_like(each[0], math.inf)
    apart = (each.mean(0) - torch.tensor(mean)).abs()
    if (apart > MEAN_APART + ERRORS * error).any():
        worst = int((apart - ERRORS * error).argmax())
        found, real = float(each[:, worst].mean()), mean[worst]
        return f"these pixels have a mean of {found:.2f}, and the dataset's have {real:.2f}: {remedy}"
    spread = images.transpose(0, 1).flatten(1).std(1)
    if (spread < LEAST_SPREAD * torch.tensor(std)).all():
        found, real = float(spread.mean()), sum(std) / len(std)
        return f"these pixels have a standard deviation of {found:.2f}, and the dataset's have {real:.2f}: {remedy}"
    return None


def unlikely_vectors(vectors: Tensor) -> str | None:
    """What speaks against the units of vectors, in a sentence.

    Args:
        vectors: float32 (N, D, 1, 1), normalised as the dataset is if the units were right: those of the dataset have
            a mean square of 1.
    """
    far = float(vectors.double().square().mean().sqrt())
    if far <= FARTHEST_VECTORS:
        return None
    return f"these vectors lie {far:.0f} times as far from the dataset's mean as its own do: check their units"


def _likeness(images: Tensor) -> float:
    """The correlation of horizontally neighbouring pixels."""
    if images.shape[-1] < 2:
        return 1.0
    left, right = images[..., :-1].flatten().double(), images[..., 1:].flatten().double()
    pair = torch.stack([left, right])
    spread = pair.std(1)
    return 1.0 if float(spread.min()) == 0 else float(torch.corrcoef(pair)[0, 1])


def _range(images: Tensor) -> str:
    return f"values from {float(images.min()):.3g} to {float(images.max()):.3g}"
