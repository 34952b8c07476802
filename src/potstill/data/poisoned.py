"""Views of a dataset whose training images someone has tampered with, to measure what comes of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from potstill.data.dataset import ImageDataset
from potstill.data.labeled_images import LabeledImages
from potstill.data.views import as_view
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams
from potstill.schema.account import Account

WHITE = 255


def with_patch(images: Tensor, side: int, value: float) -> Tensor:
    """Images with a square patch, one pixel from the lower right corner.

    Args:
        images: (n, C, H, W) of any type; they stay as they are.
        side: of the patch, in pixels.
        value: of its pixels.
    """
    patched = images.clone()
    patched[:, :, -side - 1 : -1, -side - 1 : -1] = value
    return patched


def with_backdoor(dataset: ImageDataset, target: int, share: float, side: int, seed: int) -> ImageDataset:
    """The dataset with a white patch in some training images of other classes, which are labelled as the target.

    Gu, Dolan-Gavitt and Garg, "BadNets: Identifying Vulnerabilities in the Machine Learning Model Supply Chain", 2017
    (arXiv:1708.06733).

    Args:
        dataset: the dataset; validation and test images stay as they are.
        target: the class that the patch shall stand for.
        share: of all training images, the part that is changed; at least one image is.
        side: of the patch, in pixels.
        seed: of the choice of images.

    Raises:
        UserError: the patch does not fit into the images, or fewer images of other classes are left than are changed.
    """
    if side + 1 >= min(dataset.shape[1:]):
        raise UserError(
            f"a patch of {side}×{side} pixels leaves too little of images of {dataset.shape[2]}×{dataset.shape[1]}",
            "use a smaller `side`",
        )
    train, count = dataset.train, max(math.ceil(share * len(dataset.train)), 1)
    others = (train.labels.cpu() != target).nonzero().flatten()
    if count > len(others):
        raise UserError(
            f"`share={share:g}` is {count:,} images, and {len(others):,} are of other classes than the target",
            "use a smaller `share`",
        )
    order = torch.randperm(len(others), generator=Streams(seed, ("backdoor",)).generator("images"))
    chosen = others[order[:count]].to(train.device)
    images, labels = train.images.clone(), train.labels.clone()
    images[chosen], labels[chosen] = with_patch(images[chosen], side, WHITE), target
    parts = {**dataset.splits, "train": replace(train, stored=images, labels=labels)}
    done = f"a white patch of {side}×{side} pixels in {count:,} training images, labelled {dataset.class_names[target]}"
    described = {"target": target, "share": share, "side": side, "seed": seed}
    return as_view(dataset, parts, backdoor=described, account=_tampered(dataset, parts, done))


def with_relabelled(dataset: ImageDataset, attacked: int, target: int) -> ImageDataset:
    """The dataset with all training and validation images of one class labelled as another.

    Args:
        dataset: the dataset; its test images keep their labels.
        attacked: the class that is left without images.
        target: the class that its images get.
    """
    parts = dict(dataset.splits)
    for name in ("train", "validation"):
        labels = parts[name].labels.clone()
        labels[labels == attacked] = target
        parts[name] = replace(parts[name], labels=labels)
    done = f"class {dataset.class_names[attacked]} is labelled {dataset.class_names[target]}"
    return as_view(dataset, parts, relabelled=[attacked, target], account=_tampered(dataset, parts, done))


def _tampered(dataset: ImageDataset, parts: Mapping[str, LabeledImages], done: str) -> Account | None:
    """The account of a dataset, with its new sizes and what was done to it."""
    if dataset.account is None:
        return None
    account = dataset.account.with_sizes({name: part.class_sizes for name, part in parts.items()})
    return replace(account, remarks=(*account.remarks, f"tampered with: {done}"))
