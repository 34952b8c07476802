"""Images or vectors in folders and tables: a folder for each class, or parquet files, as our own exports are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from potstill.data import NO_CHOICES, ImageDataset, load_dataset, training_files
from potstill.data.load import find_source
from potstill.data.sources.arrow import ArrowTable
from potstill.data.sources.columns import Described, find_columns
from potstill.data.sources.parquet import ParquetTable
from potstill.data.sources.tables import TableSource, vectors_of
from potstill.runtime.errors import UserError
from potstill.runtime.reading import open_regular, read_json
from potstill.runtime.text import visible
from potstill.synthetic.export import CARD, MADE_BY
from potstill.synthetic.importing.classes import in_order, matched
from potstill.synthetic.importing.released import Released

SUFFIXES = (".npy", ".parquet")
"""Of files that are read like folders."""
PROBABILITIES = "labels.json"
"""Where ``potstill export --format imagefolder`` keeps soft labels."""
SOFT_LABEL = "soft_label"
"""The column in which ``potstill export --format parquet`` keeps them."""
EIGHT_BITS = "image files keep 8 bits: potstill export --format npz keeps a set exactly"


def read_folder(path: Path, dataset: ImageDataset) -> Released:
    """The images or vectors in class folders or tables, and their classes.

    Args:
        path: the folder, or a parquet file, or an ``.npy`` file of vectors with its labels beside it.
        dataset: its classes are those of the folders or of the column of labels: by their names, or, if none of the
            names is a class and there are as many, in order, which is said.

    Returns:
        uint8 images, or float32 vectors (N, D, 1, 1), and classes or, of our own exports, probabilities.

    Raises:
        UserError: the folder has other classes, or images of another size or other channels, or a test split.
    """
    found = load_dataset(path.absolute(), validation_fraction=0, test_fraction=0, cache=None)
    if len(found.test) or len(found.validation):
        raise UserError(f"{path} has several splits", "name the folder of the one that was distilled")
    if found.shape != dataset.shape:
        ours, theirs = ("×".join(map(str, each.shape)) for each in (found, dataset))
        remedy = "name the dataset that the set stands for, with `image_size` if it was resized"
        raise UserError(f"{path} has images {ours}, and {dataset.name} has {theirs} (channels, height, width)", remedy)
    source, _ = find_source(str(path.absolute()))
    is_table = isinstance(source, TableSource)
    numbers, remarks = matched(str(path), found.class_names, dataset, "class" if is_table else "folder")
    labels = numbers[found.train.labels]
    if is_table:
        soft, said = _soft_labels(path, source, len(found.train), dataset)
        read = source.files.paths
    else:
        file = path / PROBABILITIES
        soft = _probabilities(file, path, dataset) if file.exists() else None
        said, read = () if soft is None else (f"labels from {file.name}",), (file,)
    exact = () if found.train.holds_vectors else (EIGHT_BITS,)
    return Released(
        found.train.images,
        labels if soft is None else soft,
        remarks=(*remarks, *said, *_unread(path, read), *exact),
        class_names=dataset.class_names,
    )


def is_own_export(path: Path) -> bool:
    """Whether ``potstill export`` wrote a folder, as its README says.

    Args:
        path: a folder, or a file, which has no README of its own.
    """
    try:
        with open_regular(path / CARD) as stream:
            return MADE_BY.encode() in stream.read(1024)
    except OSError:
        return False


def _soft_labels(
    path: Path, source: TableSource, count: int, dataset: ImageDataset
) -> tuple[Tensor | None, tuple[str, ...]]:
    """The probabilities in the column of soft labels, if there is one, and which columns were read.

    Raises:
        UserError: there is not one for each image, or they are of other classes.
    """
    kind = ArrowTable if source.FORMAT == "arrow" else ParquetTable
    rows: list[np.ndarray] = []
    names: tuple[str, ...] | None = None
    others: dict[str, None] = {}
    for file in source.files.paths:
        table = kind(file)
        described = Described.of(table.schema, str(file))
        if not any(map(described.holds_images, table.schema.names)) and not described.vector_columns:
            continue
        columns = find_columns(described, NO_CHOICES, None)
        has_soft = SOFT_LABEL in table.schema.names and described.holds_vectors(SOFT_LABEL)
        if has_soft:
            rows.append(vectors_of(table, SOFT_LABEL, str(file)))
            names = described.class_names(columns.label)
        taken = (columns.image, columns.label, *((SOFT_LABEL,) if has_soft else ()))
        others |= dict.fromkeys(name for name in table.schema.names if name not in taken)
    said = (f"columns that are not read: {_listed(list(others))}",) if others else ()
    if not rows:
        return None, said
    if len({each.shape[1] for each in rows}) > 1 or sum(map(len, rows)) != count:
        raise UserError(f"{path} does not have one {SOFT_LABEL} for each image", "export the set again")
    probabilities = torch.from_numpy(np.concatenate(rows).astype(np.float32))
    ordered, remarks = in_order(str(path), probabilities, names or dataset.class_names, dataset)
    return ordered, (*remarks, f"labels from the column {SOFT_LABEL}", *said)


def _unread(path: Path, read: Sequence[Path]) -> tuple[str, ...]:
    """The files directly in a folder that are neither images nor read, in one sentence."""
    if not path.is_dir():
        return ()
    inside = (each for each in sorted(path.iterdir()) if each.is_file() and not each.name.startswith("."))
    known = {each.absolute() for each in read}
    others = [each.name for each in inside if each.absolute() not in known]
    return (f"not read from {path.name}: {_listed(others)}",) if others else ()


def _listed(names: Sequence[str]) -> str:
    return ", ".join(visible(name[:40]) for name in names[:5]) + (", ..." if names[5:] else "")


def _probabilities(file: Path, folder: Path, dataset: ImageDataset) -> Tensor:
    """The soft labels of our own export, in the order of the images.

    Raises:
        UserError: the file is damaged, or about other classes or images.
    """
    content = read_json(file)
    files = training_files(folder.absolute()) or ()
    try:
        by_name, names = content["probabilities"], tuple(content["class_names"])
        rows = [by_name[str(each.relative_to(folder.absolute()))] for each in files]
        made = torch.tensor(rows, dtype=torch.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{file} does not have the labels of these images", "restore it, or move it away") from error
    if names != dataset.class_names:
        raise UserError(f"{file} has labels of other classes than {dataset.name}", "name the set's dataset")
    return made
