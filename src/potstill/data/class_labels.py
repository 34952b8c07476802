"""The classes of a dataset: the labels of all its parts, matched by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from potstill.data.found import Labels, Part
from potstill.runtime.errors import UserError

Parts = Mapping[str, tuple[Part, ...]]


@dataclass(frozen=True, eq=False)
class Classes:
    """The classes, and the labels of each split as indices into them.

    Attributes:
        names: the name of each class.
        labels: int64 (N,) for each split.
        remarks: how the labels were joined, one sentence for each decision.
    """

    names: tuple[str, ...]
    labels: Mapping[str, np.ndarray]
    remarks: tuple[str, ...] = ()


def join_labels(parts: Parts, where: str) -> Classes:
    """Join the labels of all parts by the names of their classes; labels without names are joined by number.

    Classes are in the published order of the first training part, further ones after them; without a published order
    they are in the order of their names. Numbers alone are their own names, also where they are not counted from 0.

    Args:
        parts: by split; every split has labels.
        where: the dataset's name in errors.

    Raises:
        UserError: an image has no label, a label has no name, or a class has no training images.
    """
    for split, pieces in parts.items():
        for piece in pieces:
            _check_numbers(piece, f"{where}, split {split}")
    every = [piece.labels for pieces in parts.values() for piece in pieces if len(piece.labels.values)]
    named = [labels for labels in every if labels.names is not None]
    if not named:
        joined = {split: _concatenated([piece.labels.values for piece in pieces]) for split, pieces in parts.items()}
        return _numbered(joined, where)
    remarks: list[str] = []
    if len(named) < len(every):
        parts, remark = _with_names(parts, named, where)
        remarks.append(remark)
    orders = {labels.names for labels in named}
    if len(orders) > 1 and (twice := _named_twice(orders)):
        raise UserError(
            f"two classes of {where} are called {twice!r}, and its files name the classes differently",
            "give every class a name of its own",
        )
    if len(orders) == 1:
        joined = {split: _concatenated([piece.labels.values for piece in pieces]) for split, pieces in parts.items()}
        return _used(Classes(named[0].names or (), joined, remarks=tuple(remarks)), where)
    names = _union([piece.labels for split in _training_first(parts) for piece in parts[split]])
    place = {name: number for number, name in enumerate(names)}
    joined = {
        split: _concatenated([_renumbered(piece.labels, place) for piece in pieces]) for split, pieces in parts.items()
    }
    if any(piece.labels.names not in (None, names) for pieces in parts.values() for piece in pieces):
        remarks += _order_remark(parts, names)
    return _used(Classes(names, joined, remarks=tuple(remarks)), where)


def _check_numbers(part: Part, where: str) -> None:
    """Refuse labels that are missing or have no name."""
    labels = part.labels
    absent = labels.values < 0
    if absent.any():
        first = int(absent.argmax())
        raise UserError(
            f"{int(absent.sum())} of {len(absent)} labels of {where} are missing or negative (the first is "
            f"{int(labels.values[first])}, of image {first} of {part.origin})",
            "number the classes from 0 and remove unlabelled images",
        )
    if labels.names is not None and len(labels.values) and (top := int(labels.values.max())) >= len(labels.names):
        raise UserError(
            f"label {top} in {part.origin} of {where} is out of range for {len(labels.names)} classes",
            "number the classes from 0",
        )


def _numbered(joined: Mapping[str, np.ndarray], where: str) -> Classes:
    """Classes without names, which are called by their numbers; where these leave gaps, that is said.

    No number is trusted: there are as many classes as there are different labels, not as the highest label says.

    Raises:
        UserError: a class has images in another split but none in train.
    """
    numbers = np.unique(joined["train"])
    if not len(numbers):
        return Classes((), joined)
    for split, labels in joined.items():
        if len(strangers := np.setdiff1d(labels, numbers)):
            raise _only_in(split, str(strangers[0]), where)
    names = tuple(map(str, numbers.tolist()))
    if numbers[-1] == len(numbers) - 1:
        return Classes(names, joined)
    shown = ", ".join(names[:5]) + (", ..." if names[5:] else "")
    return Classes(
        names,
        {split: np.searchsorted(numbers, labels).astype(np.int64) for split, labels in joined.items()},
        (f"labels are the numbers {shown}, not 0 to {len(names) - 1}: the classes are called by them",),
    )


def _with_names(parts: Parts, named: Sequence[Labels], where: str) -> tuple[Parts, str]:
    """Give parts whose labels are numbers only the names of the other parts, if those agree on a published order."""
    orders = {labels.names if labels.ordered else None for labels in named}
    if len(orders) > 1 or None in orders:
        raise UserError(
            f"some files of {where} have class names and others only numbers",
            "store the same class names, in the same order, in every file",
        )
    (names,) = orders
    filled = {
        split: tuple(
            piece
            if piece.labels.names is not None
            else Part(piece.images, Labels(piece.labels.values, names, ordered=True), piece.origin, piece.names)
            for piece in pieces
        )
        for split, pieces in parts.items()
    }
    for split, pieces in filled.items():
        for piece in pieces:
            _check_numbers(piece, f"{where}, split {split}")
    return filled, "files without class names are read with the class names of the others"


def _union(labels: Sequence[Labels]) -> tuple[str, ...]:
    """All names: in their published order if there is one, otherwise in alphabetical order."""
    seen = dict.fromkeys(name for piece in labels for name in piece.names or ())
    return tuple(seen) if any(piece.ordered for piece in labels) else tuple(sorted(seen))


def _named_twice(orders: Iterable[tuple[str, ...] | None]) -> str | None:
    """A name that stands for two classes of one part."""
    counts = (Counter(names).most_common(1)[0] for names in orders if names)
    return next((name for name, count in counts if count > 1), None)


def _training_first(parts: Parts) -> list[str]:
    return sorted(parts, key=lambda split: split != "train")


def _renumbered(labels: Labels, place: Mapping[str, int]) -> np.ndarray:
    if not len(labels.values):
        return labels.values
    return np.array([place[name] for name in labels.names or ()], np.int64)[labels.values]


def _order_remark(parts: Parts, names: tuple[str, ...]) -> list[str]:
    """One sentence if a part numbers the classes differently."""
    other = [
        piece.origin
        for pieces in parts.values()
        for piece in pieces
        if piece.labels.names and piece.labels.names != names[: len(piece.labels.names)] and piece.labels.ordered
    ]
    return [f"{other[0]} numbers the classes differently: labels are matched by name"] if other else []


def _used(classes: Classes, where: str) -> Classes:
    """The classes without those that have no image anywhere.

    Raises:
        UserError: a class has images in another split but none in train.
    """
    count = len(classes.names)
    train = np.bincount(classes.labels["train"], minlength=count) > 0
    for split, labels in classes.labels.items():
        if strangers := sorted({int(label) for label in np.unique(labels)} - {int(n) for n in train.nonzero()[0]}):
            raise _only_in(split, classes.names[strangers[0]], where)
    if train.all():
        return classes
    new = np.cumsum(train) - 1
    dropped = tuple(name for name, used in zip(classes.names, train, strict=True) if not used)
    return Classes(
        tuple(name for name, used in zip(classes.names, train, strict=True) if used),
        {split: new[labels] for split, labels in classes.labels.items()},
        (*classes.remarks, _dropped_remark(dropped)),
    )


def _only_in(split: str, name: str, where: str) -> UserError:
    return UserError(
        f"class {name!r} of {where} has no training images, but images in {split}",
        "add training images of it, or remove it from the other splits",
    )


def _dropped_remark(dropped: Sequence[str]) -> str:
    shown = ", ".join(dropped[:5]) + (", ..." if len(dropped) > 5 else "")
    return f"{len(dropped)} named classes have no images and are dropped: {shown}"


def _concatenated(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.empty(0, np.int64)
