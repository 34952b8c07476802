"""Deterministic stratified splits: which images are held out depends on the labels alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from potstill.data.raw import Split
from potstill.runtime.streams import Streams

TEST_FRACTION = 0.2  # held out of datasets that were published in one piece


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """The share of each class of the training images that takes the place of a split that was not published.

    Attributes:
        test: in [0, 1).
        validation: in [0, 1), of what remains.
    """

    test: float
    validation: float


def complete_splits(published: Mapping[str, Split], fractions: HeldOut) -> tuple[dict[str, Split], dict[str, Tensor]]:
    """Hold the splits that were not published out of the training images, the same share of every class.

    A published validation split is kept as it is, unless there is no test split: then it takes its place.

    Args:
        published: the splits by name, ``train`` among them.
        fractions: of each class of the training images.

    Returns:
        The splits ``train``, ``validation`` and ``test``, and for each that was held out the int64 indices of its
        images in the published training split.
    """
    splits = dict(published)
    if "test" not in splits and "validation" in splits:
        splits["test"] = splits.pop("validation")
    train, held_out = splits["train"], {}
    remaining = torch.arange(len(train.labels))
    for name, fraction in (("test", fractions.test), ("validation", fractions.validation)):
        if name not in splits:
            kept, held = stratified_split(train.labels[remaining], fraction, name)
            held_out[name], remaining = remaining[held], remaining[kept]
            splits[name] = train.take(held_out[name])
    if held_out:
        splits["train"] = train.take(remaining)
    return splits, held_out


def stratified_split(labels: Tensor, fraction: float, purpose: str) -> tuple[Tensor, Tensor]:
    """Hold out a fraction of each class.

    Of a class of n images round(fraction · n) are held out, at least one and at most n - 1 of them; of a class of one
    image, none. The choice depends on nothing but the labels, the fraction and the purpose.

    Args:
        labels: int64 (N,).
        fraction: in [0, 1); 0 holds nothing out.
        purpose: names the random stream, so that splits for different purposes are independent.

    Returns:
        The ascending int64 indices of what is kept and of what is held out.
    """
    labels = labels.cpu()
    held = torch.zeros(len(labels), dtype=torch.bool)
    present, sizes = labels.unique(return_counts=True)
    by_class = labels.argsort(stable=True).split(sizes.tolist())
    for label, members in zip(present.tolist(), by_class, strict=True) if fraction > 0 else []:
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        generator = Streams(0).generator("data split", purpose, label)
        held[members[torch.randperm(len(members), generator=generator)[:count]]] = True
    return (~held).nonzero().flatten(), held.nonzero().flatten()
