"""``.npy`` files of vectors, each with its labels beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from potstill.data.catalogue import names_vectors
from potstill.data.choices import Choices
from potstill.data.found import Found, Labels, Part, VectorArray
from potstill.data.sources.base import Request, existing
from potstill.data.vectors import LABELS, Vectors, labels_beside, read_labels, read_vectors
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
        read = [self._read(path) for path in self.paths]
        numbered = all(numbers is not None for _, _, numbers in read)
        parts = tuple(
            Part(
                VectorArray(vectors.values, str(path)),
                _labels(stored, numbers, numbered=numbered),
                path.name,
                () if self.whole else (path.stem,),
            )
            for path, (vectors, stored, numbers) in zip(self.paths, read, strict=True)
        )
        layout = ".npy file of vectors" if len(parts) == 1 else ".npy files of vectors"
        return Found(layout, str(self.paths[0] if self.whole else self.paths[0].parent), parts)

    def _read(self, path: Path) -> tuple[Vectors, np.ndarray, np.ndarray | None]:
        """The vectors of a file, and their labels as they are stored and as numbers."""
        labels = labels_beside(path)
        if labels is None:
            first, second = (f"{path.stem}{ending}" for ending in LABELS)
            raise UserError(f"{path} has no labels beside it", f"store one for each vector as {first} or {second}")
        vectors = read_vectors(path)
        return vectors, *read_labels(labels, len(vectors), vectors.where)


def _labels(stored: np.ndarray, numbers: np.ndarray | None, *, numbered: bool) -> Labels:
    """The labels of vectors: numbers where those of all files are, as in any other layout; otherwise names.

    Among names, an integer is the name that it is written as; one below 0 still means that there is no label.
    """
    integers = stored.dtype.kind != "U"
    if numbers is not None and (numbered or (integers and numbers.min() < 0)):
        return Labels(numbers)
    names, places = np.unique(stored.astype(np.str_) if integers else stored, return_inverse=True)
    return Labels(places.astype(np.int64), tuple(names.tolist()))
