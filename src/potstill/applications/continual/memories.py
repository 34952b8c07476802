"""The memory of several stages as one set."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from potstill.data import ImageDataset
from potstill.synthetic import SyntheticSet


def joined(parts: Sequence[SyntheticSet], like: ImageDataset, images_per_class: int) -> SyntheticSet:
    """The memory of several stages as one set.

    Args:
        parts: what is kept of each stage; every class of ``like`` is in one of them.
        like: a dataset with the classes of the memory.
        images_per_class: the number of images that stay of each class: the first ones, which of herding are the best.

    Returns:
        A set with the classes of ``like``. Learned labels keep their shares of these classes.
    """
    images, labels = [], []
    for place, name in enumerate(like.class_names):
        part = next(part for part in parts if name in part.class_names)
        chosen = (part.hard_labels == part.class_names.index(name)).nonzero().flatten()[:images_per_class]
        images.append(part.images[chosen])
        labels.append(_labels(part, chosen, like.class_names, place))
    if any(each.is_floating_point() for each in labels):
        labels = [each if each.dim() == 2 else _certain(each, like.class_count) for each in labels]
    whitening = like.train.whitening
    return SyntheticSet(
        images=torch.cat(images),
        labels=torch.cat(labels),
        class_names=like.class_names,
        mean=like.mean,
        std=like.std,
        whitening=None if whitening is None else whitening.to("cpu"),
        formation=parts[0].formation,
    )


def _labels(part: SyntheticSet, chosen: Tensor, names: Sequence[str], place: int) -> Tensor:
    """The labels of chosen images of one class in a memory with other classes."""
    if not part.has_soft_labels:
        return torch.full((len(chosen),), place, dtype=torch.int64)
    labels = torch.zeros(len(chosen), len(names))
    for column, name in enumerate(names):
        if name in part.class_names:
            labels[:, column] = part.labels[chosen, part.class_names.index(name)]
    return labels / labels.sum(1, keepdim=True)


def _certain(labels: Tensor, classes: int) -> Tensor:
    return torch.nn.functional.one_hot(labels, classes).float()
