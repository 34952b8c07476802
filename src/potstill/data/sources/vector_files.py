"""Files of vectors alone, without labels: an ``.npy`` file, an array of an ``.npz`` archive, a column of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from potstill.data.catalogue import names_vectors
from potstill.data.formats.npz_archive import NpzArchive, open_npz
from potstill.data.sources.columns import FILE_COLUMNS, Described, vector_column
from potstill.data.sources.npz import has_vectors_alone, vector_arrays
from potstill.data.sources.parquet import ParquetTable
from potstill.data.sources.tables import vectors_of
from potstill.data.vectors import Vectors, labelled_vectors, read_vectors
from potstill.runtime.errors import UserError
from potstill.runtime.files import expanded


def read_vector_file(path: str | Path, labels: str | Path | None = None, *, column: str | None = None) -> Vectors:
    """Open a file of vectors, whatever else it holds.

    Args:
        path: an ``.npy`` file; an ``.npz`` archive with one array of floating-point numbers (N, D), or one that is
            called ``vectors``, ``embeddings``, ``features``, ``X`` or ``x``; or a parquet file with one column of lists
            of floating-point numbers, or one with a usual name.
        labels: a file of their labels, as for :func:`potstill.data.read_vectors`.
        column: the column of a table to take.

    Returns:
        The vectors; those of an ``.npy`` file stay in it, others are read into memory.

    Raises:
        UserError: the file cannot be read, holds no vectors or several kinds of them, or a value is not finite.
    """
    path = expanded(path)
    suffix = path.suffix.lower()
    if column is not None and suffix != ".parquet":
        raise UserError(f"`image_column={column}` chooses a column, but {path} has none", "leave `image_column` out")
    if names_vectors(str(path)):
        return read_vectors(path, labels)
    if suffix not in (".npz", ".parquet"):
        raise UserError(f"{path} is not a file of vectors", "name an .npy, .npz or .parquet file")
    values, where, files = _of_archive(path) if suffix == ".npz" else _of_table(path, column)
    vectors = labelled_vectors(values, f"{path}, {where}", labels)
    if files is not None and len(files) != len(vectors):
        raise UserError(f"{path} has {len(vectors):,} vectors, but {len(files):,} file names", "store one for each")
    return replace(vectors, files=files, remark=f"vectors are in {where}")


def holds_vectors(path: Path) -> bool:
    """Whether a file holds vectors, perhaps beside images or labels.

    Args:
        path: an ``.npy``, ``.npz`` or parquet file.

    Raises:
        UserError: it is damaged.
    """
    if names_vectors(path.name):
        return True
    if path.suffix.lower() == ".npz":
        with open_npz(path) as archive:
            return bool(vector_arrays(archive))
    return bool(Described.of(ParquetTable(path).schema, str(path)).vector_columns)


def holds_vectors_alone(path: str | Path) -> bool:
    """Whether a file holds vectors, and nothing that may be images or labels.

    Args:
        path: a file, of any kind.

    Raises:
        UserError: it is absent or damaged.
    """
    path = expanded(path)
    if names_vectors(str(path)):
        return True
    if path.suffix.lower() == ".npz":
        with open_npz(path) as archive:
            return has_vectors_alone(archive)
    if path.suffix.lower() == ".parquet" and path.is_file():
        table = Described.of(ParquetTable(path).schema, str(path))
        images = any(map(table.holds_images, table.schema.names))
        return bool(table.vector_columns) and not images and not table.may_hold_classes
    return False


def _of_archive(path: Path) -> tuple[np.ndarray, str, tuple[str, ...] | None]:
    """The vectors in an archive, the array that they are in, and the file that each is of."""
    with open_npz(path) as archive:
        found = vector_arrays(archive)
        if not found:
            raise UserError(
                f"{path} has no array of vectors among {_listed(archive.names)}",
                "store floating-point numbers of shape (N, D) as an array called vectors",
            )
        if len(found) > 1:
            raise UserError(f"{path} has several arrays of vectors: {_listed(found)}", "store one, called vectors")
        name = found[0]
        named = next((other for other in FILE_COLUMNS if other in archive.names and _has_texts(archive, other)), None)
        files = None if named is None else _files(archive.read_texts(named).ravel().tolist(), f"{path}, {named}")
        return archive.read(name), f"the array {name}", files


def _has_texts(archive: NpzArchive, name: str) -> bool:
    """Whether an array may hold several texts: neither numbers nor a single path, such as that of a model."""
    dtype, shape = archive.kind_of(name)
    return dtype.kind in "USO" and bool(shape)


def _of_table(path: Path, column: str | None) -> tuple[np.ndarray, str, tuple[str, ...] | None]:
    """The vectors in a parquet file, the column that they are in, and the file that each is of."""
    table = ParquetTable(path)
    described = Described.of(table.schema, str(path))
    name = vector_column(described, column)
    texts = (other for other in FILE_COLUMNS if other in described.schema.names and described.kind(other) == "text")
    named = next(texts, None)
    files = None
    if named is not None:
        files = _files([text for batch in table.batches(named) for text in batch.to_pylist()], f"{path}, {named}")
    return vectors_of(table, name, str(path)), f"the column {name}", files


def _files(texts: Sequence[str | None], where: str) -> tuple[str, ...]:
    """The names of files, none of which may be missing or be what no table can be written with."""
    for row, text in enumerate(texts):
        if text is None or not text.strip() or not _is_encodable(text):
            raise UserError(
                f"{where}: row {row}, counted from 0, names no file", "name one for each vector, or leave the names out"
            )
    return tuple(map(str, texts))


def _is_encodable(text: str) -> bool:
    """Whether a text can be the name of a file: of half characters only those that Python makes of unknown bytes."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names[:20]) or "no arrays"
