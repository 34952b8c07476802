"""An ``.npz`` archive of images or vectors, in the layout of MedMNIST or of Keras."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from potstill.data.choices import Choices
from potstill.data.formats.npz_archive import NpzArchive, open_npz
from potstill.data.found import Arrays, Found, Labels, Part, VectorArray
from potstill.data.sources.base import Request, existing
from potstill.data.sources.columns import LABEL_COLUMNS, names_no_labels
from potstill.runtime.errors import Unlabelled, UserError
from potstill.schema.account import LeftOut

NAMES = ("{}_images {}_labels", "x_{} y_{}", "X_{} y_{}", "{}_vectors {}_labels", "{}_embeddings {}_labels")
"""The names of the arrays of a split: of MedMNIST, of Keras and of scikit-learn; those of vectors."""
WHOLE = (("images", "labels"), ("x", "y"), ("X", "y"), ("vectors", "labels"), ("embeddings", "labels"))
"""The names of the arrays of a dataset in one piece."""
LABEL_ARRAYS = ("y", "y_.+", ".+_labels")
"""The names of arrays of labels in these layouts, besides those that columns of labels have."""
VECTOR_ARRAYS = ("vectors", "embeddings", "features", "X", "x")
"""The usual names of an array of vectors without labels."""
CLASS_NAMES = "class_names"
"""The array of texts that names the classes of labels that are numbers."""


@dataclass(frozen=True)
class Npz:
    """Arrays ``train_images`` and ``train_labels``, and the same for other splits; or ``x_train`` and ``y_train``.

    Images are (N, H, W) or (N, H, W, C) with 1 to 4 channels. Floating-point numbers (N, D) are vectors. Labels are
    integers (N,) or (N, 1), and classes are named by their numbers, or by an array ``class_names`` of texts, in which
    labels are positions; or words, which name them. Of labels (N, L), with several for each image, ``label_column``
    chooses one by its number.
    MedMNIST: Yang et al., 2023.
    """

    name: str
    path: Path

    @classmethod
    def recognise(cls, request: Request) -> Self | None:
        """A path that ends in ``.npz``."""
        path = request.path
        return cls(path.stem, existing(path)) if path is not None and path.suffix.lower() == ".npz" else None

    def signature(self) -> None:
        """None: the archive already holds decoded images."""

    def find(self, choices: Choices) -> Found:
        """The arrays of the archive.

        Raises:
            UserError: the archive is damaged, contains objects or lacks an array, or its labels are several per image.
        """
        with open_npz(self.path) as archive:
            pairs = self._pairs(archive)
            names = self._class_names(archive, [labels for _, labels in pairs.values()], choices)
            parts = tuple(self._part(archive, split, *pair, choices, names) for split, pair in pairs.items())
            used = {name for pair in pairs.values() for name in pair} | ({CLASS_NAMES} if names else set())
            others = sorted(set(archive.names) - used)
        why = f"they are not the images and labels of a split: {', '.join(others[:5])}{', ...' if others[5:] else ''}"
        left_out = (LeftOut(count=len(others), what="arrays", why=why),) if others else ()
        has_columns = choices.label_column is not None  # refused above unless labels have several
        return Found(
            "an .npz archive", str(self.path), parts, columns=has_columns, named="" not in pairs, left_out=left_out
        )

    def _pairs(self, archive: NpzArchive) -> dict[str, tuple[str, str]]:
        """The names of images and labels of each published split; of a dataset in one piece under ""."""
        names = archive.names
        pairs: dict[str, tuple[str, str]] = {}
        for pattern in NAMES:
            images, labels = pattern.split()
            for name in names:
                if match := re.fullmatch(images.replace("{}", "(.+)"), name):
                    split = match[1]
                    if labels.format(split) not in names:
                        raise UserError(f"{self.path} has {name} without {labels.format(split)}", "add the labels")
                    pairs.setdefault(split, (name, labels.format(split)))
        whole = next((pair for pair in WHOLE if set(pair) <= set(names)), None)
        if not pairs and whole is None:
            raise self._nameless(archive)
        return pairs or {"": whole or ("", "")}

    def _nameless(self, archive: NpzArchive) -> UserError:
        """The error for arrays whose names do not say what they are."""
        listed = ", ".join(archive.names[:20]) or "no arrays"
        if vectors := vector_arrays(archive):
            return Unlabelled(
                f"{self.path} has vectors ({vectors[0]}), but no labels of a known name among {listed}",
                "store a class for each of them: arrays called vectors and labels",
            )
        return UserError(
            f"{self.path} has no train_images among {listed}",
            "name the arrays train_images, train_labels, test_images, test_labels",
        )

    def _class_names(self, archive: NpzArchive, labels: list[str], choices: Choices) -> tuple[str, ...] | None:
        """The names of classes that are numbers; None if the archive has none, or not as an array of texts.

        Raises:
            UserError: a name is empty or given twice, or there are fewer names than the labels count.
        """
        if CLASS_NAMES not in archive.names or choices.label_column is not None:
            return None
        kind, shape = archive.kind_of(CLASS_NAMES)
        if kind.kind != "U" or len(shape) != 1 or any(archive.kind_of(each)[0].kind == "U" for each in labels):
            return None
        names = tuple(name.strip() for name in archive.read_texts(CLASS_NAMES).tolist())
        if "" in names:
            place = names.index("")
            raise UserError(f"{self.path}, {CLASS_NAMES}: name {place} is empty, counted from 0", "name every class")
        if len(set(names)) < len(names):
            twice = Counter(names).most_common(1)[0][0]
            raise UserError(
                f"{self.path}, {CLASS_NAMES}: two classes are called {twice!r}", "give every class a name of its own"
            )
        for each in labels:
            values = archive.read(each)
            if values.dtype.kind in "iu" and values.size and (highest := int(values.max())) >= len(names):
                raise UserError(
                    f"{self.path} has {len(names)} {CLASS_NAMES}, but {each} go up to {highest}",
                    f"number the classes from 0, as positions in {CLASS_NAMES}",
                )
        return names or None

    def _part(
        self,
        archive: NpzArchive,
        split: str,
        images: str,
        labels: str,
        choices: Choices,
        class_names: tuple[str, ...] | None,
    ) -> Part:
        where = f"{self.path}, {labels}"
        words = archive.kind_of(labels)[0].kind == "U"
        values = _column(archive.read_texts(labels) if words else archive.read(labels), choices.label_column, where)
        found, name = archive.read(images), f"{self.path}, {images}"
        vectors = found.ndim == 2 and np.issubdtype(found.dtype, np.floating)
        return Part(
            VectorArray(found, name) if vectors else Arrays(found, name),
            Labels.of_words(values, where) if words else Labels.of_numbers(values, where, class_names),
            f"the array {images}",
            (split,) if split else (),
        )


def vector_arrays(archive: NpzArchive) -> list[str]:
    """The arrays of floating-point numbers (N, D): those with a usual name of vectors if there are any."""
    kinds = {name: archive.kind_of(name) for name in archive.names}
    found = [name for name, (dtype, shape) in kinds.items() if dtype.kind == "f" and len(shape) == 2]
    return [name for name in found if name in VECTOR_ARRAYS] or found


def has_vectors_alone(archive: NpzArchive) -> bool:
    """Whether an archive has vectors, and no array that may hold images or a label of each."""
    vectors = vector_arrays(archive)
    lengths = {archive.kind_of(name)[1][0] for name in vectors}
    others = {name: archive.kind_of(name) for name in archive.names if name not in vectors}
    return bool(vectors) and not any(
        len(shape) > 2 or (bool(shape) and shape[0] in lengths and _may_be_labels(name, dtype))
        for name, (dtype, shape) in others.items()
    )


def _may_be_labels(name: str, dtype: np.dtype) -> bool:
    """Whether an array with a value for each vector may hold classes, also of a type that is not read."""
    if name in LABEL_COLUMNS or any(re.fullmatch(pattern, name) for pattern in LABEL_ARRAYS):
        return True
    return dtype.kind in "biuUSO" and not names_no_labels(name)


def _column(labels: np.ndarray, chosen: str | None, where: str) -> np.ndarray:
    """The labels, or the chosen column of several labels for each image."""
    several = labels.ndim == 2 and labels.shape[1] > 1
    if not several and chosen is not None:
        raise UserError(f"`label_column={chosen}` chooses a column, but {where} has only one", "leave it out")
    if not several:
        return labels
    if chosen is None:
        raise UserError(
            f"{where} has {labels.shape[1]} labels for each image (multi-label or one-hot), not one class",
            f"choose one with `label_column=0` to {labels.shape[1] - 1}, or store one class index per image",
        )
    if not chosen.isdecimal() or int(chosen) >= labels.shape[1]:
        raise UserError(
            f"{where} has no column {chosen!r}", f"choose one with `label_column=0` to {labels.shape[1] - 1}"
        )
    return labels[:, int(chosen)]
