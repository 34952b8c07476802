"""Folders of image files, a folder for each class: how many programs publish their images, and how we export ours."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from potstill.data import ImageDataset, load_dataset
from potstill.runtime.errors import UserError


def read_folder(path: Path, dataset: ImageDataset) -> tuple[Tensor, Tensor]:
    """The images in class folders, and their classes.

    Args:
        path: the folder.
        dataset: its classes are those of the folders: by their names, or by their number where the folders are as many
            and named otherwise, in order.

    Returns:
        uint8 (N, C, H, W), and int64 (N,).

    Raises:
        UserError: the folder has other classes, or images of another size.
    """
    found = load_dataset(path, validation_fraction=0, test_fraction=0, cache=None)
    names, ours = found.class_names, dataset.class_names
    if set(names) <= set(ours):
        numbers = torch.tensor([ours.index(name) for name in names])
    elif len(names) == len(ours):
        numbers = torch.arange(len(ours))
    else:
        raise UserError(
            f"{path} has {len(names)} classes, {names[0]!r} first, and {dataset.name} has {len(ours)}",
            "name the folders as the dataset names its classes",
        )
    if found.shape != dataset.shape:
        raise UserError(
            f"{path} has images of {_size(found)} pixels, and {dataset.name} of {_size(dataset)}",
            "use `image_size` to bring the dataset to this size",
        )
    return found.train.images, numbers[found.train.labels]


def _size(dataset: ImageDataset) -> str:
    return "×".join(map(str, dataset.shape))
