"""Images that occur more than once: within a split, in two splits, with two labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from torch import Tensor

from potstill.data import LabeledImages
from potstill.schema.inspection import Contradictory, Pair, Place, Repeated

EXAMPLES = 8


@dataclass(frozen=True, eq=False)
class Grouped:
    """The images of a split, each with the number of its picture: equal pixels, equal numbers, in every split.

    Attributes:
        split: the name of the split.
        pictures: int64 (N,).
        labels: int64 (N,).
        distinct: the different pictures in ascending order.
        first: the index of the first image of each of them.
    """

    split: str
    pictures: np.ndarray
    labels: np.ndarray
    distinct: np.ndarray
    first: np.ndarray

    def place(self, index: int) -> Place:
        """An image of the split."""
        return Place(split=self.split, index=index, label=int(self.labels[index]))


def digests(blocks: Iterable[Tensor]) -> np.ndarray:
    """The 128-bit BLAKE2b hash of the pixels of each image.

    Args:
        blocks: uint8 (n, C, H, W) each, N images together.

    Returns:
        16 bytes (N,), NumPy's ``V16``.
    """
    found = bytearray()
    for block in blocks:
        for row in block.flatten(1).cpu().contiguous().numpy():
            found += blake2b(row, digest_size=16).digest()
    return np.frombuffer(bytes(found), dtype="V16")


def grouped(splits: Mapping[str, LabeledImages]) -> list[Grouped]:
    """Number the different pictures of all splits together."""
    _, pictures = np.unique(np.concatenate([digests(part.blocks()) for part in splits.values()]), return_inverse=True)
    ends = np.cumsum([len(part) for part in splits.values()])
    return [
        Grouped(name, numbers, part.labels.cpu().numpy(), *np.unique(numbers, return_index=True))
        for (name, part), numbers in zip(splits.items(), np.split(pictures, ends[:-1]), strict=True)
    ]


def repeated(splits: list[Grouped]) -> tuple[Repeated, ...]:
    """The images of each split that repeat one of its own, or one of a split before it."""
    found = []
    for number, split in enumerate(splits):
        for other in (split, *splits[:number]):
            equal = _first_equal(split, other)
            indices = np.flatnonzero(equal != np.arange(len(equal)) if other is split else equal >= 0)
            if len(indices):
                shown = indices[:EXAMPLES].tolist()
                found.append(
                    Repeated(
                        split=split.split,
                        other=other.split,
                        images=len(indices),
                        of=len(split.pictures),
                        examples=tuple((split.place(index), other.place(int(equal[index]))) for index in shown),
                    )
                )
    return tuple(found)


def contradictory(splits: list[Grouped]) -> Contradictory | None:
    """The images that equal an image of another label, in whatever splits."""
    pictures, labels = (np.concatenate([getattr(s, name) for s in splits]) for name in ("pictures", "labels"))
    lowest = np.full(pictures.max(initial=-1) + 1, np.iinfo(np.int64).max)
    highest = np.full(len(lowest), -1)
    np.minimum.at(lowest, pictures, labels)
    np.maximum.at(highest, pictures, labels)
    disputed = np.flatnonzero(lowest < highest)
    if not len(disputed):
        return None
    images = int(np.isin(pictures, disputed).sum())
    return Contradictory(images=images, examples=tuple(_disputes(splits, disputed[:EXAMPLES])))


def _first_equal(split: Grouped, other: Grouped) -> np.ndarray:
    """For each image of ``split`` the first image of ``other`` with the same pixels, or -1."""
    where = np.searchsorted(other.distinct, split.pictures).clip(max=len(other.distinct) - 1)
    return np.where(other.distinct[where] == split.pictures, other.first[where], -1)


def _disputes(splits: list[Grouped], pictures: np.ndarray) -> Iterator[Pair]:
    """For each picture its first image, and the first with another label."""
    for picture in pictures:
        images = [split.place(int(index)) for split in splits for index in np.flatnonzero(split.pictures == picture)]
        yield images[0], next(image for image in images if image.label != images[0].label)
