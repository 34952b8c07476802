"""What a source finds: images and labels as they were published, not yet judged and not yet decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from potstill.runtime.errors import Unlabelled, UserError
from potstill.schema.account import LeftOut

if TYPE_CHECKING:
    from PIL import Image

UNLABELLED = -1  # an image without a label, as the hub publishes test splits

Content: TypeAlias = "bytes | Path | Image.Image"
"""An image before it is decoded: the bytes of a file, the file itself, or what Pillow made of one."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """Images in files, or in memory as files or as Pillow's.

    Attributes:
        count: the number of images.
        read: yields each image with its name in errors, in order; it may be called several times.
        stamped: whether the files of ``read`` are among those that the source's signature stamps. If they are not, no
            decoded copy of them is kept: nothing would show that it is out of date.
    """

    count: int
    read: Callable[[], Iterable[tuple[Content, str]]]
    stamped: bool = True

    def __len__(self) -> int:
        return self.count


@dataclass(frozen=True, eq=False)
class Arrays:
    """Images as one array.

    Attributes:
        values: (N, H, W) or (N, H, W, C), of any number type.
        name: their name in errors.
        white: the value of white, if the layout states it; otherwise it is judged by the values.
    """

    values: np.ndarray
    name: str
    white: float | None = None

    def __len__(self) -> int:
        return len(self.values) if self.values.ndim else 0


@dataclass(frozen=True, eq=False)
class VectorArray:
    """Vectors as one array.

    Attributes:
        values: (N, D), of a floating type; others are refused.
        name: their name in errors.
    """

    values: np.ndarray
    name: str

    def __len__(self) -> int:
        return len(self.values) if self.values.ndim else 0


@dataclass(frozen=True, eq=False)
class Labels:
    """The label of each image: a number, and perhaps the name that it stands for.

    Attributes:
        values: int64 (N,); negative for images without a label.
        names: the names of the numbers from 0; None if they are numbers only.
        ordered: whether the order of the names was published, so that it is kept; otherwise it is alphabetical.
    """

    values: np.ndarray
    names: tuple[str, ...] | None = None
    ordered: bool = False

    @classmethod
    def of_names(cls, names: Sequence[str]) -> Labels:
        """Labels that are the names of the classes themselves, one for each image."""
        classes = sorted(set(names))
        numbers = {name: number for number, name in enumerate(classes)}
        return cls(np.fromiter((numbers[name] for name in names), np.int64, len(names)), tuple(classes))

    @classmethod
    def of_words(cls, values: np.ndarray, where: str) -> Labels:
        """Labels that are the names of the classes, as an array of texts.

        Args:
            values: texts (N,) or (N, 1).
            where: their name in errors.

        Raises:
            UserError: there is not one for each image, or one is empty.
        """
        words = [word.strip() for word in _single(values, where).reshape(-1).tolist()]
        if "" in words:
            raise UserError(
                f"label {words.index('')} of {where} is empty, counted from 0", "name the class of every image"
            )
        return cls.of_names(words)

    @classmethod
    def of_numbers(cls, values: object, where: str, names: tuple[str, ...] | None = None) -> Labels:
        """Labels that are numbers.

        Args:
            values: integers (N,) or (N, 1), as anything that NumPy converts to an array.
            where: their name in errors.
            names: the names of the numbers from 0, in their published order.

        Raises:
            UserError: there is not one integer per image.
        """
        labels = _single(np.asarray(values), where)
        if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
            raise Unlabelled(
                f"labels of {where} are not integers ({labels.dtype}, shape {labels.shape})",
                "store one class index per image, counted from 0",
            )
        return cls(labels.astype(np.int64), names, ordered=names is not None)


def _single(labels: np.ndarray, where: str) -> np.ndarray:
    """Labels without the second dimension of one column, which MedMNIST stores.

    Raises:
        UserError: there are several for each image.
    """
    if labels.ndim != 2:
        return labels
    if labels.shape[1] != 1:
        raise multi_label(f"the labels of {where}, of shape {labels.shape},")
    return labels[:, 0]


def multi_label(what: str) -> UserError:
    """The error for labels of which each image has several.

    Args:
        what: the labels, in words.
    """
    return UserError(
        f"{what} may be several for each image (multi-label), and one class per image is needed",
        "choose a column of single labels with `label_column`, or keep the images of one label",
    )


@dataclass(frozen=True, eq=False)
class Part:
    """A split as it was published, or a piece of one.

    Attributes:
        images: the images, or vectors.
        labels: a label for each of them.
        origin: where they come from, in words such as ``folder train``.
        names: what may say which split it is, the most decisive first, such as the names of its file and folders; empty
            if the dataset was published in one piece.
    """

    images: Encoded | Arrays | VectorArray
    labels: Labels
    origin: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Found:
    """Everything that a source found.

    Attributes:
        layout: the layout, such as ``class folders``.
        where: the dataset's name in errors.
        parts: in the order in which images are numbered.
        columns: whether the layout has columns to choose from.
        named: whether the names of parts are those of splits, so that several unknown ones are not taken as one split.
        splits: for each of our splits the published one to take, if the publisher's names alone would mislead.
        left_out: what is not read, and why.
        remarks: further decisions of the source, one sentence each.
    """

    layout: str
    where: str
    parts: tuple[Part, ...]
    columns: bool = False
    named: bool = False
    splits: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()
    remarks: tuple[str, ...] = ()
