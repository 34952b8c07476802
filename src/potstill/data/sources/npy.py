"""``.npy`` files of vectors, each with its labels beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from potstill.data.catalogue import names_vectors
from potstill.data.choices import Choices
from potstill.data.found import Found, Labels, Part, VectorArray
from potstill.data.sources.base import Request, existing
from potstill.data.vectors import LABELS, Vectors, labels_beside, read_vectors
from potstill.runtime.errors import UserError


@dataclass(frozen=True)
class Npy:
    """A file ``NAME.npy`` of vectors (N, D), or a folder of them, which are named after the splits.

    The labels of each are in ``NAME.labels.npy``, N integers or words, or in ``NAME.labels.txt``, one in each line.
    """

    name: str
    paths: Sequence[Path]
    whole: bool

    @classmethod
    def recognise(cls, request: Request) -> Self | None:
        """A path that ends in ``.npy``, or a folder with such a file and its labels."""
        path = request.path
        if path is not None and names_vectors(path.name):
            return cls(existing(path).stem, (path,), whole=True)
        if (folder := request.folder) is None:
            return None
        files = (child for child in sorted(folder.glob("*.npy")) if not child.name.startswith("."))
        paths = [child for child in files if not child.name.endswith(LABELS)]
        return cls(request.name, paths, whole=False) if any(map(labels_beside, paths)) else None

    def signature(self) -> None:
        """None: the files already hold numbers as they are used."""

    def find(self, choices: Choices) -> Found:
        """The vectors of each file.

        Raises:
            UserError: a file is damaged or has no labels, or their numbers differ.
        """
        parts = tuple(self._part(path) for path in self.paths)
        layout = ".npy file of vectors" if len(parts) == 1 else ".npy files of vectors"
        return Found(layout, str(self.paths[0] if self.whole else self.paths[0].parent), parts)

    def _part(self, path: Path) -> Part:
        labels = labels_beside(path)
        if labels is None:
            first, second = (f"{path.stem}{ending}" for ending in LABELS)
            raise UserError(f"{path} has no labels beside it", f"store one for each vector as {first} or {second}")
        vectors = read_vectors(path, labels)
        return Part(
            VectorArray(vectors.values, str(path)), _labels(vectors), path.name, () if self.whole else (path.stem,)
        )


def _labels(vectors: Vectors) -> Labels:
    """The labels of vectors: numbers where all are whole numbers, as in any other layout; otherwise names.

    Words that are digits are in the order of words, so that they are told from numbers where it makes a difference.
    """
    names, places = vectors.class_names, vectors.labels.numpy()
    if all(re.fullmatch(r"-?(0|[1-9][0-9]{0,17})", name) for name in names):
        numbers = [int(name) for name in names]
        if numbers == sorted(numbers):
            return Labels(np.array(numbers, np.int64)[places])
    return Labels(places, names)
