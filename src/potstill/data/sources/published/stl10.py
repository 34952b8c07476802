"""STL-10, binary: an image is three planes of 96×96 bytes, column by column; labels count from 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from potstill.data.found import Arrays, Labels, Part
from potstill.data.sources.published.layout import REMEDY, Files, Layout, Pieces, read_names, read_within
from potstill.runtime.errors import UserError
from potstill.schema.account import LeftOut

SIDE = 96
LARGEST = 2**28  # bytes; the test images have 221 million


def _read(files: Files) -> Pieces:
    found = {path.name: path for path in files.paths}
    names = read_names(found["class_names.txt"]) if "class_names.txt" in found else files.class_names
    parts = [_part(found[f"{split}_X.bin"], found[f"{split}_y.bin"], split, names) for split in ("train", "test")]
    unlabelled = found.get("unlabeled_X.bin")
    if unlabelled is None:
        return Pieces(tuple(parts))
    count = max(1, unlabelled.stat().st_size // (3 * SIDE * SIDE))
    left_out = LeftOut(count=count, what=f"images in {unlabelled.name}", why="they have no labels")
    return Pieces(tuple(parts), (left_out,))


def _part(images: Path, labels: Path, split: str, names: tuple[str, ...] | None) -> Part:
    pixels = np.frombuffer(read_within(images, LARGEST), np.uint8)
    if len(pixels) % (3 * SIDE * SIDE):
        raise UserError(f"{images} is truncated: {len(pixels):,} bytes are not a whole number of images", REMEDY)
    classes = np.frombuffer(read_within(labels, LARGEST), np.uint8).astype(np.int64) - 1
    if len(classes) and classes.min() < 0:
        raise UserError(f"{labels} has the label 0: labels of STL-10 count from 1", REMEDY)
    return Part(
        Arrays(pixels.reshape(-1, 3, SIDE, SIDE).transpose(0, 3, 2, 1), str(images)),
        Labels.of_numbers(classes, str(labels), names),
        images.name,
        (split,),
    )


STL10 = Layout(
    words="binary files of STL-10",
    names=r"(train|test)_[Xy]\.bin|unlabeled_X\.bin|class_names\.txt",
    needed=(r"train_X\.bin", r"train_y\.bin", r"test_X\.bin", r"test_y\.bin"),
    below=("stl10_binary",),
    read=_read,
)
