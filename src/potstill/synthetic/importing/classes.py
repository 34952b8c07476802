"""Which class of a dataset each label of a file is: by the names that the file has, or by its numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from potstill.data import ImageDataset
from potstill.runtime.errors import UserError
from potstill.runtime.text import visible

SHOWN = 3


def matched(where: str, names: Sequence[str], dataset: ImageDataset, kind: str) -> tuple[Tensor, tuple[str, ...]]:
    """The class of each name, and how that was decided.

    Args:
        where: what has the names, for errors.
        names: the names of its classes.
        dataset: its classes are those of the names; if none of the names is a class and there are as many, they are
            taken in order, which is said.
        kind: what the names are of: ``folder`` or ``class``.

    Returns:
        int64 (names,), indices into the classes of the dataset, and remarks.

    Raises:
        UserError: some names are classes and others are not, or a name is given twice.
    """
    ours = dataset.class_names
    if tuple(names) == ours:
        return torch.arange(len(ours)), ()
    if len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise UserError(f"{where} has two classes called {visible(twice)!r}", "give every class a name of its own")
    known = [name for name in names if name in ours]
    if len(known) == len(names):
        return torch.tensor([ours.index(name) for name in names]), ()
    if known or len(names) != len(ours):
        other = next(name for name in names if name not in ours)
        raise UserError(
            f"{where} has a {kind} {visible(other)!r}, and {dataset.name} has no such class",
            "name the classes as the dataset does",
        )
    pairs = [f"{visible(a)} is {visible(b)}" for a, b in zip(names, ours, strict=True)][:SHOWN]
    more = ", ..." if len(ours) > SHOWN else ""
    return torch.arange(len(ours)), (
        f"no {kind} has the name of a class, so they are taken in order: {', '.join(pairs)}{more}",
    )


def in_order(
    where: str, probabilities: Tensor, names: Sequence[str], dataset: ImageDataset
) -> tuple[Tensor, tuple[str, ...]]:
    """Soft labels with their columns in the order of a dataset's classes, and how these were matched.

    Args:
        where: what has them, for errors.
        probabilities: (N, names).
        names: the class of each column.
        dataset: whose classes they are.

    Raises:
        UserError: there is not one for each class.
    """
    if probabilities.dim() != 2 or probabilities.shape[1] != len(names) or len(names) != dataset.class_count:
        raise UserError(
            f"{where} has soft labels {tuple(probabilities.shape)} of {len(names)} classes, and {dataset.name} has "
            f"{dataset.class_count}",
            "name the set's dataset",
        )
    places, remarks = matched(where, names, dataset, "class")
    return probabilities[:, places.argsort()], remarks


def numbered(where: str, labels: Tensor, dataset: ImageDataset) -> tuple[Tensor, list[str]]:
    """The class of each label that is a number: its position among the classes, or the class that is called by it.

    Args:
        where: the file, for errors.
        labels: (N,) numbers.
        dataset: classes that are called 5, 7 and 9 are meant by these numbers, and by 0, 1 and 2.

    Returns:
        int64 (N,), indices into the classes of the dataset, and how they were understood if that is not plain.

    Raises:
        UserError: they are not whole numbers, or of other classes, or could be either.
    """
    values, count = labels.double(), dataset.class_count
    low, high = float(values.min()), float(values.max())
    whole = bool((values == values.round()).all())
    inside = whole and low >= 0 and high < count
    own = _own_numbers(dataset.class_names)
    if own is None:
        if not inside:
            raise UserError(
                f"{where} has labels from {low:g} to {high:g} for {count} classes",
                "name the dataset that the set stands for",
            )
        return values.long(), []
    shown = ", ".join(dataset.class_names[:5]) + (", ..." if count > 5 else "")
    known = whole and set(values.long().tolist()) <= set(own)
    if not inside and not known:
        raise UserError(
            f"{where} has labels from {low:g} to {high:g}, and the classes of {dataset.name} are {shown}",
            f"store these numbers, or 0 to {count - 1} in their order",
        )
    if inside and known:
        raise UserError(
            f"{where} has labels from {low:g} to {high:g}, which may be {shown}, the classes of {dataset.name}, or "
            "their positions from 0",
            "store them one-hot",
        )
    if known:
        place = {number: index for index, number in enumerate(own)}
        return torch.tensor([place[number] for number in values.long().tolist()]), [
            f"labels are the classes themselves: {shown}"
        ]
    return values.long(), [f"labels are positions, from 0, among the classes {shown}"]


def _own_numbers(names: Sequence[str]) -> list[int] | None:
    """The numbers that classes are called by, if these are not the positions from 0 in some order."""
    if not all(re.fullmatch(r"0|[1-9][0-9]{0,17}", name) for name in names):
        return None
    numbers = [int(name) for name in names]
    return None if sorted(numbers) == list(range(len(numbers))) else numbers
