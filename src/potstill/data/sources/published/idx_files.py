"""MNIST, Fashion-MNIST and KMNIST: idx files of images and of labels, gzipped or not."""

from __future__ import annotations

import re
from pathlib import Path

from potstill.data.formats.idx import read_idx
from potstill.data.found import Arrays, Labels, Part
from potstill.data.sources.published.layout import Files, Layout, Pieces
from potstill.runtime.errors import UserError
from potstill.schema.account import LeftOut

SPLITS = {"train": "train", "t10k": "test", "test": "test"}
NAME = r"(train|t10k|test)-(images|labels)[-.]idx([13])-ubyte(\.gz)?"


def _read(files: Files) -> Pieces:
    found: dict[tuple[str, str], Path] = {}
    twice = 0
    for path in sorted(files.paths, key=lambda path: path.suffix == ".gz"):  # a plain file before its gzipped copy
        published, kind = re.fullmatch(NAME, path.name).groups()[:2]  # type: ignore[union-attr]
        twice += (SPLITS[published], kind) in found
        found.setdefault((SPLITS[published], kind), path)
    parts = []
    for split in dict.fromkeys(SPLITS.values()):
        images, labels = found.get((split, "images")), found.get((split, "labels"))
        if images is None and labels is None:
            continue
        if images is None or labels is None:
            present = images or labels
            raise UserError(f"{present} is without its file of {'labels' if images else 'images'}", "download it, too")
        parts.append(_part(split, images, labels, files.class_names))
    left_out = (LeftOut(count=twice, what="files", why="they are copies of others, gzipped or not"),) if twice else ()
    return Pieces(tuple(parts), left_out)


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
