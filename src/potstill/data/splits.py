"""Deterministic stratified splits: which images are held out depends on the labels alone."""

from __future__ import annotations

import torch
from torch import Tensor

from potstill.runtime.streams import Streams


def stratified_split(labels: Tensor, fraction: float, purpose: str) -> tuple[Tensor, Tensor]:
    """Hold out a fraction of each class.

    Of a class of n images round(fraction · n) are held out, at least one and at most n - 1 of them; none of a class
    of one image. The choice depends on nothing but the labels, the fraction and the purpose.

    Args:
        labels: int64 (N,).
        fraction: in [0, 1); 0 holds nothing out.
        purpose: names the random stream, so that splits for different purposes are independent.

    Returns:
        The ascending int64 indices of what is kept and of what is held out.
    """
    labels = labels.cpu()
    held = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique().tolist() if fraction > 0 else []:
        members = (labels == label).nonzero().flatten()
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        generator = Streams(0).generator("data split", purpose, label)
        held[members[torch.randperm(len(members), generator=generator)[:count]]] = True
    return (~held).nonzero().flatten(), held.nonzero().flatten()
