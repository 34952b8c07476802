"""SVHN, cropped digits: MATLAB files of images ``X`` (32, 32, 3, N) and labels ``y``, in which 10 is the digit 0."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from potstill.data.formats.mat import read_mat
from potstill.data.found import Arrays, Labels, Part
from potstill.data.sources.published.layout import REMEDY, Files, Layout, Pieces
from potstill.runtime.errors import UserError
from potstill.schema.account import LeftOut

SUFFIX = "_32x32.mat"


def _read(files: Files) -> Pieces:
    alone = len(files.paths) == 1
    used = [path for path in files.paths if alone or not _is_extra(path) or _split(path) in files.chosen]
    left_out = tuple(
        LeftOut(count=1, what=f"file {path.name}", why="it is used only if `split_map` names the split extra")
        for path in files.paths
        if path not in used
    )
    remark = "the label 10 is the digit 0, as published"
    return Pieces(tuple(map(_part, used)), left_out, (remark,))


def _part(path: Path) -> Part:
    variables = read_mat(path, ("X", "y"))
    images, labels = variables.get("X"), variables.get("y")
    if images is None or labels is None or images.ndim != 4 or not 0 < labels.size == images.shape[3]:
        raise UserError(f"{path} has no images X (32, 32, 3, N) with labels y (N, 1)", REMEDY)
    digits = labels.reshape(-1)
    if np.any(digits != digits.astype(np.uint8)) or not 1 <= digits.min() <= digits.max() <= 10:
        raise UserError(f"{path} has labels other than 1 to 10", REMEDY)
    return Part(
        Arrays(images.transpose(3, 0, 1, 2), str(path)),
        Labels.of_numbers(digits.astype(np.int64) % 10, str(path)),
        path.name,
        (_split(path),),
    )


def _split(path: Path) -> str:
    return path.name.removesuffix(SUFFIX)


def _is_extra(path: Path) -> bool:
    return _split(path) == "extra"


SVHN = Layout(
    words="MATLAB files of SVHN",
    names=r"(train|test|extra)_32x32\.mat",
    needed=(r"train_32x32\.mat",),
    below=(),
    read=_read,
    single=True,
)
