"""The memory of several stages as one set, in the units of the dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from potstill.applications.set_sources import GivenSet, SetSource
from potstill.data import ImageDataset
from potstill.evaluation.checks import is_normalised_like
from potstill.schema.set_file import IMPORTED, made_by
from potstill.synthetic import SyntheticSet


def in_units_of(source: SetSource, dataset: ImageDataset) -> SetSource:
    """A source whose set, if it was imported for this dataset, has the dataset's own mean and standard deviation.

    A memory of several stages is one set, tested on images in one normalisation. The pixels stay the same.

    Args:
        source: where the memory comes from; others are returned as they are.
        dataset: the dataset.
    """
    if not isinstance(source, GivenSet) or not _is_of(source.synthetic, dataset):
        return source
    made = source.synthetic
    if made.whitening is not None or dataset.train.whitening is not None or is_normalised_like(made, dataset):
        return source
    mean, std, to_mean, to_std = (
        torch.tensor(values, dtype=torch.float64)[:, None, None]
        for values in (made.mean, made.std, dataset.mean, dataset.std)
    )
    images = ((made.images.double() * std + mean - to_mean) / to_std).float()
    return replace(source, synthetic=replace(made, images=images, mean=dataset.mean, std=dataset.std))


def _is_of(made: SyntheticSet, dataset: ImageDataset) -> bool:
    """Whether a set was imported for a dataset."""
    there = made.provenance.get("dataset_fingerprint")
    return made_by(made.provenance) == IMPORTED and made.shape == dataset.shape and there == dataset.fingerprint


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
