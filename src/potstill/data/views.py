"""Views of a dataset: fewer classes or images, one share of the images, or the judges alone.

Each has a fingerprint of its own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from potstill.data.dataset import ImageDataset, channel_statistics
from potstill.data.images_on_disk import richer
from potstill.data.labeled_images import LabeledImages
from potstill.data.shaping import richest
from potstill.runtime.errors import UserError
from potstill.runtime.files import sha256
from potstill.runtime.streams import Streams
from potstill.schema.words import listed


def with_classes(dataset: ImageDataset, classes: Sequence[int]) -> ImageDataset:
    """The images of some classes, in the order of the dataset; labels count through these classes.

    Normalisation and whitening stay those of the dataset. All classes in their order give the dataset itself.

    Args:
        dataset: the dataset.
        classes: the labels of the classes, each once, in the order of the new labels.

    Raises:
        UserError: there is no class, a class is named twice, or it does not exist.
    """
    if not classes:
        raise UserError(f"{dataset.name} has no classes left", "take at least one class")
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
    return as_view(dataset, parts, classes=list(classes), account=account)


def with_fewer_images(dataset: ImageDataset, count: int, seed: int) -> ImageDataset:
    """The dataset with a random part of its training images, in which every class has its share.

    The first images of each class come before the second ones of any, so that no class is left out; a larger part
    holds every smaller one. All training images give the dataset itself.

    Args:
        dataset: the dataset; its other splits and its normalisation are kept.
        count: the number of training images to keep.
        seed: of the choice, which depends on nothing else.

    Raises:
        UserError: there are fewer training images, or fewer are to be kept than there are classes.
    """
    sizes = dataset.train.class_sizes
    classes = sum(size > 0 for size in sizes)
    if not classes <= count <= len(dataset.train):
        raise UserError(
            f"{count:,} images cannot be taken from the {len(dataset.train):,} training images of {classes} classes",
            f"take {classes:,} to {len(dataset.train):,} images",
        )
    if count == len(dataset.train):
        return dataset
    streams = Streams(seed, ("fewer images",))
    orders = [torch.randperm(size, generator=streams.generator(label)) for label, size in enumerate(sizes)]
    members = [index.cpu()[order] for index, order in zip(dataset.train.class_index, orders, strict=True)]
    shares = torch.cat([torch.arange(size, dtype=torch.float64) / max(size, 1) for size in sizes])
    chosen = torch.cat(members)[shares.argsort(stable=True)[:count]].sort().values
    remark = f"{count:,} random training images, of {len(dataset.train):,}"
    return _with_training(dataset, chosen, remark, images=count, seed=seed)


def with_members(dataset: ImageDataset, chosen: Tensor) -> ImageDataset:
    """The dataset with some of its training images; its other splits, its normalisation and whitening are kept.

    Args:
        dataset: the dataset.
        chosen: int64 (n,), the indices of the training images to keep.
    """
    remark = f"{len(chosen):,} of {len(dataset.train):,} training images"
    return _with_training(dataset, chosen, remark, members=sha256(chosen.cpu().numpy().tobytes()))


def share_of(dataset: ImageDataset, chosen: Tensor) -> ImageDataset:
    """What one of several owners of the training images holds: some of them, of some classes, and no other images.

    Normalisation and whitening stay those of the dataset. A class of which nothing is held is not a class of the share.

    Args:
        dataset: the dataset.
        chosen: int64 (n,), at least one: the indices of the training images, each once.
    """
    members, none = with_members(dataset, chosen.cpu().sort().values), torch.empty(0, dtype=torch.int64)
    parts = {"train": members.train, "validation": dataset.validation.take(none), "test": dataset.test.take(none)}
    account = members.account
    if account is not None:
        account = account.with_sizes({name: part.class_sizes for name, part in parts.items()})
    alone = as_view(members, parts, without=["validation", "test"], account=account)
    return with_classes(alone, [label for label, size in enumerate(members.train.class_sizes) if size])


def judges_of(dataset: ImageDataset) -> ImageDataset:
    """The dataset without its training images: all that is needed to judge networks that learn from other images."""
    none = dataset.train.take(torch.empty(0, dtype=torch.int64))
    return as_view(dataset, {**dataset.splits, "train": none}, without=["train"])


def brought_together(datasets: Sequence[ImageDataset]) -> list[ImageDataset]:
    """Datasets of the same classes as one network sees them: classes in one order, as many channels, one normalisation.

    Classes are joined by name, in the order of the first dataset, whose mean and standard deviation normalise all.
    Grey images are repeated in each channel if one of the datasets has colour.

    Args:
        datasets: the datasets.

    Raises:
        UserError: classes or sizes differ, or one of the datasets is whitened.
    """
    first = datasets[0]
    for other in datasets[1:]:
        _check_like(first, other)
    most = richest(each.shape[0] for each in datasets)
    coloured = [_with_channels(each, most) for each in datasets]
    mean, std = coloured[0].mean, coloured[0].std
    ordered = [with_classes(each, [each.class_names.index(name) for name in first.class_names]) for each in coloured]
    return [
        each if (each.mean, each.std) == (mean, std) else replace(each.normalised_by(mean, std), spec="")
        for each in ordered
    ]


def _with_training(dataset: ImageDataset, chosen: Tensor, remark: str, **difference: object) -> ImageDataset:
    """The dataset with the training images at some indices, and a remark about it in its account."""
    account, parts = dataset.account, {**dataset.splits, "train": dataset.train.take(chosen)}
    if account is not None:
        sizes = {name: part.class_sizes for name, part in parts.items()}
        account = replace(account.with_sizes(sizes), remarks=(*account.remarks, remark))
    return as_view(dataset, parts, **difference, account=account)


def _check_like(first: ImageDataset, other: ImageDataset) -> None:
    ours, theirs = set(first.class_names), set(other.class_names)
    if ours != theirs:
        lacking, more = sorted(ours - theirs), sorted(theirs - ours)
        differ = [f"{first.name} has {listed(lacking)}"] if lacking else []
        differ += [f"{other.name} has {listed(more)}"] if more else []
        raise UserError(f"the classes of {first.name} and {other.name} differ: {', '.join(differ)}", "use the same")
    if first.shape[1:] != other.shape[1:]:
        sizes = " and ".join(f"{each.name} {each.shape[2]}×{each.shape[1]}" for each in (first, other))
        raise UserError(f"images differ in size: {sizes} pixels", f"use `image_size={max(first.shape[1:])}`")
    if first.train.whitening is not None or other.train.whitening is not None:
        raise UserError("stages cannot be whitened: each would be whitened differently", "leave `zca` out")


def _with_channels(dataset: ImageDataset, channels: int) -> ImageDataset:
    """The dataset with more channels; grey as colour keeps its mean and standard deviation in each channel."""
    if dataset.shape[0] == channels:
        return dataset
    if (dataset.shape[0], channels) == (1, 3):
        mean, std = dataset.mean * channels, dataset.std * channels
    else:
        mean, std = channel_statistics(richer(dataset.train.to("cpu").stored, channels))
    parts = {}
    for name, part in dataset.splits.items():
        parts[name] = replace(part, stored=richer(part.stored, channels), mean=mean, std=std)
    return as_view(dataset, parts, channels=channels)


def _of_classes(part: LabeledImages, classes: Sequence[int]) -> LabeledImages:
    places = torch.full((part.class_count,), -1, dtype=torch.int64)
    places[torch.tensor(classes)] = torch.arange(len(classes))
    labels = places[part.labels.cpu()].to(part.labels.device)
    kept = (labels >= 0).nonzero().flatten()
    names = tuple(part.class_names[label] for label in classes)
    return replace(part, stored=part.stored[kept], labels=labels[kept], class_names=names)


def as_view(dataset: ImageDataset, parts: dict[str, LabeledImages], **difference: object) -> ImageDataset:
    """A dataset with other splits, which settings alone cannot load again.

    Args:
        dataset: the dataset.
        parts: its three splits, changed.
        difference: what distinguishes the view, as plain values; ``account`` replaces the account.
    """
    account = difference.pop("account", dataset.account)
    described = json.dumps({"view of": dataset.fingerprint, **difference}, sort_keys=True)
    return replace(dataset, **parts, spec="", fingerprint=sha256(described.encode()), account=account)
