"""Folders of image files, a folder for each class: how many programs publish their images, and how we export ours."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from potstill.data import ImageDataset, load_dataset, training_files
from potstill.runtime.errors import UserError
from potstill.runtime.reading import read_json
from potstill.runtime.text import visible
from potstill.synthetic.importing.released import Released

PROBABILITIES = "labels.json"
"""Where ``potstill export --format imagefolder`` keeps soft labels."""
SHOWN = 3


def read_folder(path: Path, dataset: ImageDataset) -> Released:
    """The images in class folders, and their classes.

    Args:
        path: the folder.
        dataset: its classes are those of the folders: by their names, or, if none of the names is a class and there are
            as many, in order, which is said.

    Returns:
        uint8 images, and classes or, of our own export, probabilities.

    Raises:
        UserError: the folder has other classes, or images of another size or other channels, or a test split.
    """
    found = load_dataset(path.absolute(), validation_fraction=0, test_fraction=0, cache=None)
    if len(found.test) or len(found.validation):
        raise UserError(f"{path} has several splits", "name the folder of the one that was distilled")
    if found.shape != dataset.shape:
        ours, theirs = ("×".join(map(str, each.shape)) for each in (found, dataset))
        remedy = "name the dataset that the set stands for, with `image_size` if it was resized"
        raise UserError(f"{path} has images {ours}, and {dataset.name} has {theirs} (channels, height, width)", remedy)
    numbers, remarks = _matched(path, found.class_names, dataset)
    labels = numbers[found.train.labels]
    if (file := path / PROBABILITIES).exists():
        return Released(
            found.train.images, _probabilities(file, path, dataset), remarks=(*remarks, f"labels from {file.name}")
        )
    return Released(found.train.images, labels, remarks=remarks)


def _matched(path: Path, names: tuple[str, ...], dataset: ImageDataset) -> tuple[Tensor, tuple[str, ...]]:
    """The class of each folder, and how that was decided."""
    ours = dataset.class_names
    known = [name for name in names if name in ours]
    if len(known) == len(names):
        return torch.tensor([ours.index(name) for name in names]), ()
    if known or len(names) != len(ours):
        other = next(name for name in names if name not in ours)
        raise UserError(
            f"{path} has a folder {visible(other)!r}, and {dataset.name} has no such class",
            "name the folders as the dataset names its classes",
        )
    pairs = [f"{visible(a)} is {visible(b)}" for a, b in zip(names, ours, strict=True)][:SHOWN]
    more = ", ..." if len(ours) > SHOWN else ""
    return torch.arange(len(ours)), (
        f"no folder has the name of a class, so they are taken in order: {', '.join(pairs)}{more}",
    )


def _probabilities(file: Path, folder: Path, dataset: ImageDataset) -> Tensor:
    """The soft labels of our own export, in the order of the images.

    Raises:
        UserError: the file is damaged, or about other classes or images.
    """
    content = read_json(file)
    files = training_files(folder.absolute()) or ()
    try:
        by_name, names = content["probabilities"], tuple(content["class_names"])
        rows = [by_name[str(each.relative_to(folder.absolute()))] for each in files]
        made = torch.tensor(rows, dtype=torch.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{file} does not have the labels of these images", "restore it, or move it away") from error
    if names != dataset.class_names:
        raise UserError(f"{file} has labels of other classes than {dataset.name}", "name the set's dataset")
    return made
