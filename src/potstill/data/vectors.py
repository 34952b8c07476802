"""Vectors in files: embeddings of images, or of anything else, and their labels."""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from potstill.data.formats.npz_archive import HEADERS
from potstill.runtime.errors import UserError
from potstill.runtime.files import expanded
from potstill.runtime.reading import cannot_read, open_regular
from potstill.runtime.text import visible

LABELS = (".labels.npy", ".labels.txt")
"""What takes the place of ``.npy`` in the name of the file of labels."""

CHECKED_VALUES = 2**22
"""How many values are checked at once."""


@dataclass(frozen=True, eq=False)
class Vectors:
    """Vectors with the class of each; without labels, all are of one class.

    Attributes:
        values: (N, D), of a floating type; a file's are mapped into memory, not read.
        labels: int64 (N,), indices into ``class_names``.
        class_names: the name of each class; a single empty one without labels.
        where: the file, for messages.
        files: what each stands for, if the file says so: the path or name of another file.
        remark: which part of the file was taken, if it has several.
    """

    values: np.ndarray
    labels: Tensor
    class_names: tuple[str, ...] = ("",)
    where: str = field(default="the vectors", compare=False)
    files: tuple[str, ...] | None = None
    remark: str = ""

    def __len__(self) -> int:
        return len(self.values)

    @property
    def class_sizes(self) -> tuple[int, ...]:
        """The number of vectors of each class."""
        return tuple(torch.bincount(self.labels, minlength=len(self.class_names)).tolist())

    @property
    def class_index(self) -> tuple[Tensor, ...]:
        """The ascending int64 indices of the vectors of each class."""
        return self._index

    @cached_property
    def _index(self) -> tuple[Tensor, ...]:
        return self.labels.argsort(stable=True).split(list(self.class_sizes))

    def rows(self, index: Tensor) -> Tensor:
        """(n, D): the vectors at some indices; all in order are a view of the file."""
        if len(index) == len(self):
            return torch.from_numpy(self.values)
        return torch.from_numpy(self.values[index.numpy()])


def read_vectors(path: str | Path, labels: str | Path | None = None) -> Vectors:
    """Open a file of vectors.

    Args:
        path: an ``.npy`` file of floating-point numbers (N, D).
        labels: an ``.npy`` file of N integers or words, or a text file with a label in each line; where all lines are
            whole numbers, classes are in the order of the numbers.

    Returns:
        The vectors, which stay in the file and are read where they are used.

    Raises:
        UserError: a file cannot be read or holds something else, a value is not finite, or the numbers of vectors and
            labels differ.
    """
    path = expanded(path)
    return labelled_vectors(_array(path), str(path), labels)


def labelled_vectors(values: np.ndarray, where: str, labels: str | Path | None = None) -> Vectors:
    """Vectors, checked, and their labels.

    Args:
        values: (N, D), of a floating type.
        where: where they come from, for messages.
        labels: a file of their labels, as for ``read_vectors``; None if they have none.

    Raises:
        UserError: these are not vectors, a value is not finite, or the labels cannot be used.
    """
    if values.ndim != 2 or not np.issubdtype(values.dtype, np.floating) or values.dtype.itemsize > 8 or not values.size:
        raise UserError(
            f"{where} holds {values.dtype} {values.shape}, not vectors", "store floating-point numbers of shape (N, D)"
        )
    if not values.dtype.isnative:
        raise UserError(
            f"{where} has the byte order of another kind of machine", "store it again in this machine's byte order"
        )
    for first in range(0, len(values), rows := max(CHECKED_VALUES // values.shape[1], 1)):
        wrong = np.flatnonzero(~np.isfinite(values[first : first + rows]).all(1))
        if len(wrong):
            raise UserError(f"{where}: row {first + wrong[0]} has values that are not finite", "correct or remove it")
    if labels is None:
        return Vectors(values, torch.zeros(len(values), dtype=torch.int64), where=where)
    stored, numbers = read_labels(labels, len(values), where)
    names, places = np.unique(stored if numbers is None else numbers, return_inverse=True)
    return Vectors(values, torch.from_numpy(places.astype(np.int64)), tuple(str(name) for name in names), where)


def labels_beside(path: Path) -> Path | None:
    """The file of labels that lies beside a file of vectors, ``NAME.labels.npy`` or ``.txt``, if there is one."""
    return next((labels for ending in LABELS if (labels := path.with_name(path.stem + ending)).is_file()), None)


def _array(path: Path) -> np.ndarray:
    """The array in an ``.npy`` file, mapped into memory; changes to it stay in memory."""
    try:
        with warnings.catch_warnings(), open_regular(path) as stream:
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            shape, fortran, dtype = HEADERS[np.lib.format.read_magic(stream)](stream)
            if dtype.hasobject:
                raise ValueError("objects are not read")
            order = "F" if fortran else "C"
            return np.memmap(stream, dtype, mode="c", offset=stream.tell(), shape=shape, order=order)
    except OSError as error:
        raise cannot_read(path, error) from error
    except Exception as error:  # a damaged header makes NumPy's reader stumble in many ways
        said = (str(error).splitlines() or [type(error).__name__])[0]
        why = "it holds objects" if "object" in said.lower() else visible(said)[:120]
        raise UserError(f"{path} is not an .npy file of numbers ({why})", "store them with numpy.save") from error


def read_labels(labels: str | Path, count: int, where: str) -> tuple[np.ndarray, np.ndarray | None]:
    """The labels in a file, as they are stored and as numbers.

    Args:
        labels: the file, as for ``read_vectors``.
        count: how many vectors there are.
        where: these, for messages.

    Returns:
        Integers or words (N,) as they are stored, and int64 (N,) if these are integers or lines of text that are whole
        numbers; None for words, which stay words in an ``.npy`` file also where they are digits.

    Raises:
        UserError: the file cannot be read, holds something else or an empty word, or there is not one for each vector.
    """
    path, numbers = expanded(labels), None
    if path.suffix.lower() == ".npy":
        found = np.asarray(_array(path))
        if found.ndim != 1 or found.dtype.kind not in "iuU":
            raise UserError(f"{path} holds {found.dtype} {found.shape}, not labels", "store (N,) integers or words")
        if found.dtype.kind != "U" and (not len(found) or int(found.max()) <= np.iinfo(np.int64).max):
            numbers = found.astype(np.int64)
    else:
        found = _lines(path)
        if len(found) and all(re.fullmatch(r"[+-]?[0-9]{1,18}", word) for word in found.tolist()):
            numbers = found.astype(np.int64)  # so that 10 comes after 9
    if not len(found):
        raise UserError(f"{path} is empty", "store one label for each vector")
    if found.dtype.kind == "U" and len(blank := np.flatnonzero(found == "")):
        raise UserError(f"{path}: label {blank[0]} is empty, counted from 0", "name the class of every vector")
    if len(found) != count:
        raise UserError(
            f"{where} has {count:,} vectors, but {labels} has {len(found):,} labels", "store one for each vector"
        )
    return found, numbers


def _lines(path: Path) -> np.ndarray:
    """The lines of a text file, without what surrounds them."""
    try:
        with open_regular(path) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig") as text:
            found = np.array(text.read().split("\n"))
    except OSError as error:
        raise cannot_read(path, error) from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file", "write one label in each line") from error
    return np.char.strip(found[:-1] if len(found) and not found[-1] else found)
