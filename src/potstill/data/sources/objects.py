"""Images that a program already has: datasets of the hub's library or of PyTorch, and arrays with their labels."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Subset

from potstill.data.choices import Choices
from potstill.data.found import Arrays, Content, Encoded, Found, Labels, Part, VectorArray
from potstill.data.sources.hub import HubTable
from potstill.data.sources.tables import Collection, Named
from potstill.runtime.bounds import check_memory
from potstill.runtime.errors import UserError


@dataclass(frozen=True, eq=False)
class Objects:
    """The splits of a dataset in memory.

    Attributes:
        name: what the dataset is called in records and errors.
        splits: what :func:`potstill.data.dataset_of` takes, by the name of the split.
        class_names: the names of classes that are numbers; None asks each dataset for its ``classes``.
    """

    name: str
    splits: Mapping[str, object]
    class_names: tuple[str, ...] | None = None

    def find(self, choices: Choices) -> Found:
        """The images and labels of every split.

        Raises:
            UserError: an object is of an unknown kind, or its items are not images with a label each.
        """
        tables = {split: data for split, data in self.splits.items() if _is_table(data)}
        if not tables:
            parts = tuple(part for split in self.splits for part in self._parts(split))
            return Found("objects in memory", self.name, parts, named=True)
        if other := next((split for split in self.splits if split not in tables), None):
            raise UserError(
                f"{next(iter(tables))} of {self.name} is a datasets.Dataset, and {other} is not",
                "give objects of one kind for all splits",
            )
        if self.class_names is not None:
            raise UserError(
                f"{self.name} has its class names in the features of its datasets", "leave `class_names` out"
            )
        # Whoever made the table in this process could open any file of it: there is nothing to protect here.
        anywhere = (Path.cwd(), Path(Path.cwd().anchor))
        return Collection(
            tables=[Named(HubTable(table, anywhere), f"split {split}", (split,)) for split, table in tables.items()],
            layout="datasets of the hub's library",
            where=self.name,
            preferred=None,
            splits={},
            named=True,
        ).found(choices)

    def _parts(self, split: str) -> Iterator[Part]:
        """The pieces of a split that is not a table; each holds images of one kind and size."""
        data, where = self.splits[split], f"{split} of {self.name}"
        if isinstance(data, tuple) and len(data) == 2:
            images, given = data
            if isinstance(images, Tensor | np.ndarray):
                yield Part(_of_array(images, where), self._labels(given, where), where, (split,))
                return
            data = _Pairs(*_of_one_length(images, given, where))
        if isinstance(data, str | Path) or not (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
            raise _not_a_dataset(data, where)
        items = _Items(data, where)
        if not len(items):
            return
        if isinstance(items[0][0], Image.Image):
            labels = items.labels()
            yield Part(
                Encoded(len(items), lambda: _pictures(items, labels)),
                self._labels(labels, where, data),
                where,
                (split,),
            )
            return
        images, labels = _arrays(items)
        found, start = self._labels(labels, where, data), 0
        for _, some in groupby(images, key=lambda image: (image.shape, image.dtype)):
            block = np.stack(list(some))
            these = Labels(found.values[start : start + len(block)], found.names, ordered=found.ordered)
            yield Part(_of_channels_last(block, where), these, where, (split,))
            start += len(block)

    def _labels(self, given: Any, where: str, data: object = None) -> Labels:
        """One label for each image: numbers or names."""
        values = given.detach().cpu().numpy() if isinstance(given, Tensor) else np.asarray(given)
        if values.dtype.kind in "UT" or (values.dtype == object and all(isinstance(each, str) for each in values)):
            if self.class_names is not None:
                raise UserError(f"the labels of {where} are names already", "leave `class_names` out")
            return Labels.of_names([str(each) for each in values])
        return Labels.of_numbers(values, where, self.class_names or _classes(data))


class _Items:
    """The items of a dataset of PyTorch, each of which is checked."""

    def __init__(self, data: Any, where: str) -> None:
        self.data, self.where = data, where

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, int | str]:
        item = self.data[index]
        if not (isinstance(item, tuple | list) and len(item) == 2):
            raise UserError(
                f"item {index} of {self.where} is a {type(item).__name__}, not an image and its label",
                "make every item a pair (image, label)",
            )
        return item[0], _label(item[1], f"item {index} of {self.where}")

    def labels(self) -> list[int | str]:
        """The label of every item: its ``targets`` if it says so, otherwise those of the items, each read once."""
        targets = getattr(self.data, "targets", None)
        plain = getattr(self.data, "target_transform", None) is None
        if targets is not None and plain and len(targets) == len(self):
            return [_label(each, f"target {index} of {self.where}") for index, each in enumerate(targets)]
        return [self[index][1] for index in range(len(self))]


class _Pairs:
    """Images and labels that are kept apart, as one dataset."""

    def __init__(self, images: Sequence[Any], labels: Sequence[Any]) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self.images[index], self.labels[index]


def _is_table(data: object) -> bool:
    """Whether an object is a ``datasets.Dataset``; whoever has one has imported its library."""
    library = sys.modules.get("datasets")
    return library is not None and isinstance(data, library.Dataset)


def _of_one_length(images: Any, labels: Any, where: str) -> tuple[Sequence[Any], Sequence[Any]]:
    if not all(hasattr(each, "__len__") and hasattr(each, "__getitem__") for each in (images, labels)):
        raise _not_a_dataset((images, labels), where)
    if len(images) != len(labels):
        raise UserError(f"{where} has {len(images):,} images but {len(labels):,} labels", "give one label per image")
    return images, labels


def _not_a_dataset(data: object, where: str) -> UserError:
    if isinstance(data, str | Path):
        return UserError(f"{where} is text, not a dataset in memory", "use potstill.load_dataset for names and paths")
    return UserError(
        f"{where} is a {type(data).__name__}, which has no length or cannot be indexed",
        "give a datasets.Dataset, a PyTorch dataset of (image, label), or a pair of images and labels",
    )


def _label(label: Any, where: str) -> int | str:
    """A label as a number or a name."""
    if isinstance(label, Tensor | np.generic | np.ndarray) and label.ndim == 0:
        label = label.item()
    if isinstance(label, str) or (isinstance(label, int) and not isinstance(label, bool)):
        return label
    raise UserError(f"the label of {where} is a {type(label).__name__}, not a number", "give one class index per image")


def _classes(data: object) -> tuple[str, ...] | None:
    """The names that a dataset of PyTorch has for its numbers, by the custom of torchvision."""
    while isinstance(data, Subset):
        data = data.dataset
    names = getattr(data, "classes", None)
    listed = isinstance(names, list | tuple) and bool(names) and all(isinstance(name, str) for name in names)
    return tuple(names) if listed and isinstance(names, list | tuple) else None


def _pictures(items: _Items, labels: Sequence[int | str]) -> Iterator[tuple[Content, str]]:
    """The images of Pillow, read again, with their names."""
    for index, expected in enumerate(labels):
        image, label = items[index]
        name = f"item {index} of {items.where}"
        if not isinstance(image, Image.Image):
            raise _mixed(name, image)
        if label != expected:
            raise UserError(
                f"{name} has the label {label!r}, but had {expected!r} before", "return the same items every time"
            )
        yield image, name


def _arrays(items: _Items) -> tuple[list[np.ndarray], list[int | str]]:
    """Every image as an array of its pixels, channels last, or of the numbers of a vector; and its label."""
    images, labels = [], []
    for index in range(len(items)):
        image, label = items[index]
        if not isinstance(image, Tensor | np.ndarray):
            raise _mixed(f"item {index} of {items.where}", image)
        values = _numpy(image)
        if not index:
            check_memory(f"the images of {items.where}", len(items) * values.nbytes, "use fewer or smaller ones")
        images.append(values.transpose(1, 2, 0) if isinstance(image, Tensor) and values.ndim == 3 else values)
        labels.append(label)
    return images, labels


def _mixed(name: str, image: object) -> UserError:
    return UserError(
        f"the image of {name} is of the type {type(image).__name__}",
        "give all images as Pillow images, or all as tensors (C, H, W) or arrays (H, W, C)",
    )


def _of_array(values: Tensor | np.ndarray, where: str) -> Arrays | VectorArray:
    """All images of a split: of PyTorch (N, C, H, W) or (N, H, W), of NumPy (N, H, W, C) or (N, H, W)."""
    array = _numpy(values)
    return _of_channels_last(
        array.transpose(0, 2, 3, 1) if isinstance(values, Tensor) and array.ndim == 4 else array, where
    )


def _of_channels_last(values: np.ndarray, where: str) -> Arrays | VectorArray:
    floats = np.issubdtype(values.dtype, np.floating)
    if floats and values.ndim == 2:
        return VectorArray(values, where)
    if floats and values.size and values.min() < 0:
        raise UserError(
            f"{where} has negative pixels, as normalised images do",
            "leave out the transform that normalises: images are normalised by their own mean and standard deviation",
        )
    return Arrays(values, where)


def _numpy(values: Tensor | np.ndarray) -> np.ndarray:
    if not isinstance(values, Tensor):
        return values
    plain = values.detach().cpu().as_subclass(Tensor)
    return (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()
