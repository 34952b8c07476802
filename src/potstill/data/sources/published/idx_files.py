"""MNIST, Fashion-MNIST and KMNIST: idx files of images and of labels, gzipped or not."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from potstill.data.formats.idx import read_idx
from potstill.data.found import Arrays, Labels, Part
from potstill.data.sources.published.layout import Files, Layout, Pieces
from potstill.runtime.errors import UserError
from potstill.schema.account import LeftOut

SPLITS = {"train": "train", "t10k": "test", "test": "test"}
NAME = r"(train|t10k|test)-(images|labels)[-.]idx([13])-ubyte(\.gz)?"


def _read(files: Files) -> Pieces:
    found: dict[tuple[str, str], list[Path]] = {}
    for path in sorted(files.paths, key=_precedence):
        published, kind = _names(path)
        found.setdefault((SPLITS[published], kind), []).append(path)
    parts, left_out = [], []
    for split in dict.fromkeys(SPLITS.values()):
        images, labels = found.get((split, "images"), []), found.get((split, "labels"), [])
        if not images and not labels:
            continue
        if not images or not labels or _names(images[0])[0] != _names(labels[0])[0]:
            lacking = "labels" if images else "images"
            raise UserError(f"{(images or labels)[0]} has no matching file of {lacking}", "download that file as well")
        parts.append(_part(split, images[0], labels[0], files.class_names))
        left_out += [_copy(path, of=several[0]) for several in (images, labels) for path in several[1:]]
    return Pieces(tuple(parts), tuple(left_out))


def _precedence(path: Path) -> tuple[bool, bool, str]:
    """The order in which one of several files for the same is taken: the usual name, and not gzipped."""
    return _names(path)[0] == "test", path.suffix == ".gz", path.name


def _names(path: Path) -> tuple[str, str]:
    """The published name of a file's split, and whether it has images or labels."""
    published, kind, *_ = re.fullmatch(NAME, path.name).groups()  # type: ignore[union-attr]
    return published, kind


def _copy(path: Path, of: Path) -> LeftOut:
    """What is said about a file that holds the same as another.

    Raises:
        UserError: it does not.
    """
    ours, theirs = read_idx(path), read_idx(of)
    if ours.dtype != theirs.dtype or not np.array_equal(ours, theirs):
        raise UserError(f"{of} and {path} differ, and either may be meant", "keep one of them in this folder")
    return LeftOut(count=1, what=f"file {path.name}", why=f"it holds the same as {of.name}")


def _part(split: str, images: Path, labels: Path, class_names: tuple[str, ...] | None) -> Part:
    pixels, classes = read_idx(images), read_idx(labels)
    if pixels.ndim != 3 or classes.ndim != 1:
        raise UserError(
            f"{images} and {labels} have {pixels.ndim} and {classes.ndim} dimensions instead of 3 and 1",
            "name the files of images and labels as they were published",
        )
    return Part(
        Arrays(pixels, str(images)), Labels.of_numbers(classes, str(labels), class_names), images.name, (split,)
    )


IDX = Layout(
    words="idx files",
    names=NAME,
    needed=(r"train-images.*", r"train-labels.*"),
    below=("raw", "MNIST/raw", "FashionMNIST/raw", "KMNIST/raw", "mnist", "fashion-mnist"),
    read=_read,
)
