"""The values of pixels: their range in a split, and images with hardly any contrast."""

from __future__ import annotations

import torch

from potstill.data import LabeledImages
from potstill.schema.inspection import Place, SplitPixels

EMPTY_BELOW = 16
"""An image is nearly empty if the values of each channel differ by less than this, of 255: about 6 %."""

FAINT_BELOW = 64
"""A split is faint if all its values lie within less than this, of 255: a quarter of the range."""

EXAMPLES = 8


def examine(name: str, part: LabeledImages) -> SplitPixels:
    """Measure the pixels of a split.

    Args:
        name: the name of the split.
        part: its images, at least one.
    """
    ends = [torch.stack(torch.aminmax(block.flatten(2), dim=2)) for block in part.blocks()]
    low, high = torch.cat(ends, dim=1).cpu()
    indices = ((high - low).amax(1) < EMPTY_BELOW).nonzero().flatten().tolist()
    labels = part.labels.cpu()
    return SplitPixels(
        split=name,
        lowest=int(low.min()),
        highest=int(high.max()),
        empty=len(indices),
        examples=tuple(Place(split=name, index=index, label=int(labels[index])) for index in indices[:EXAMPLES]),
    )


def is_faint(pixels: SplitPixels) -> bool:
    """Whether the values of a split take up only a small part of the range."""
    return pixels.highest - pixels.lowest < FAINT_BELOW
