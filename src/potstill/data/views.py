"""Views of a dataset: some of its classes, or the images that judge alone. Each has a fingerprint of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import torch

from potstill.data.dataset import ImageDataset
from potstill.data.labeled_images import LabeledImages
from potstill.runtime.errors import UserError
from potstill.runtime.files import sha256
from potstill.schema.words import listed


def with_classes(dataset: ImageDataset, classes: Sequence[int]) -> ImageDataset:
    """The images of some classes, in the order of the dataset; labels count through these classes.

    Normalisation and whitening stay those of the dataset. All classes in their order give the dataset itself.

    Args:
        dataset: the dataset.
        classes: the labels of the classes, each once, in the order of the new labels.

    Raises:
        UserError: there are fewer than two classes, a class is named twice, or it does not exist.
    """
    if len(classes) < 2:
        raise UserError(f"{dataset.name} has fewer than two classes left", "take at least two classes")
    if len(set(classes)) < len(classes) or not set(classes) <= set(range(dataset.class_count)):
        known = f"labels from 0 to {dataset.class_count - 1}"
        raise UserError(f"{list(classes)} are not different classes of {dataset.name}", f"use {known}, each once")
    if list(classes) == list(range(dataset.class_count)):
        return dataset
    parts = {name: _of_classes(part, classes) for name, part in dataset.splits.items()}
    account = dataset.account
    if account is not None:
        names = parts["train"].class_names
        sizes = {name: part.class_sizes for name, part in parts.items()}
        remark = f"only the classes {listed(names)}, of {dataset.class_count:,}"
        account = replace(account.with_sizes(sizes), class_names=names, remarks=(*account.remarks, remark))
    return _view(dataset, parts, classes=list(classes), account=account)


def judges_of(dataset: ImageDataset) -> ImageDataset:
    """The dataset without its training images: all that is needed to judge networks that learn from other images."""
    none = dataset.train.take(torch.empty(0, dtype=torch.int64))
    return _view(dataset, {**dataset.splits, "train": none}, without=["train"])


def _of_classes(part: LabeledImages, classes: Sequence[int]) -> LabeledImages:
    places = torch.full((part.class_count,), -1, dtype=torch.int64)
    places[torch.tensor(classes)] = torch.arange(len(classes))
    labels = places[part.labels.cpu()].to(part.labels.device)
    kept = (labels >= 0).nonzero().flatten()
    names = tuple(part.class_names[label] for label in classes)
    return replace(part, images=part.images[kept], labels=labels[kept], class_names=names)


def _view(dataset: ImageDataset, parts: dict[str, LabeledImages], **difference: object) -> ImageDataset:
    """A dataset with other splits, which settings alone cannot load again.

    Args:
        dataset: the dataset.
        parts: its three splits, changed.
        difference: what distinguishes the view, as plain values; ``account`` replaces the account.
    """
    account = difference.pop("account", dataset.account)
    described = json.dumps({"view of": dataset.fingerprint, **difference}, sort_keys=True)
    return replace(dataset, **parts, spec="", fingerprint=sha256(described.encode()), account=account)
