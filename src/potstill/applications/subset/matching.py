"""Which row of a file of features is of which candidate: by the names of files if it has them, otherwise in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from potstill.applications.subset.candidates import Candidates
from potstill.data import Vectors
from potstill.runtime.errors import UserError
from potstill.runtime.files import expanded
from potstill.schema.words import counted

Parts = tuple[str, ...]


def matched(vectors: Vectors, candidates: Candidates) -> tuple[Vectors, str]:
    """The row of each candidate, and in words how rows were matched.

    Args:
        vectors: the rows of a file. If they name files and it is known which files the candidates are, names decide,
            and rows of other files are left out.
        candidates: what may be chosen.

    Raises:
        UserError: a candidate has no row or several; or there are no names, and not one row for each published image.
    """
    published = len(candidates.places) + candidates.held_out
    if vectors.files is not None and (files := _below(candidates)):
        rows = _rows(vectors.files, files, vectors.where)
        others = len(vectors) - published
        words = "rows matched to files by their names"
        words += f"; {counted(others, 'row')} of other files left out" if others > 0 else ""
    elif len(vectors) != published:
        kind = "vectors" if candidates.holds_vectors else "images"
        which = f"published training {kind}" if candidates.dataset is not None else kind
        raise UserError(
            f"{vectors.where} has {len(vectors):,} rows for {published:,} {which}",
            "store one row for each, in their order",
        )
    else:
        rows = candidates.places.numpy()
        order = "published order" if candidates.dataset is not None else "order of the paths"
        words = f"rows taken in the {order}"
        words += ", and not by the files that it names: images are not in files" if vectors.files is not None else ""
    if np.array_equal(rows, np.arange(len(vectors))):
        return vectors, words
    return replace(vectors, values=vectors.values[rows], labels=candidates.labels, files=None), words


def _below(candidates: Candidates) -> list[Parts]:
    """The path of each file in the folder or archive that the user named; whole where it lies elsewhere."""
    root = expanded(candidates.name)
    files = candidates.files or candidates.archived or ()
    return [(file.relative_to(root) if file.is_relative_to(root) else file).parts for file in files]


def _rows(names: Sequence[str], files: Sequence[Parts], where: str) -> np.ndarray:
    """For each file the row that names it.

    A name may have more folders before the path of the file, which may have moved; or fewer, if only one file has them.

    Args:
        names: of the file of each row.
        files: the path of each file.
        where: where the names come from, for messages.

    Raises:
        UserError: a file has no row, or several.
    """
    whole = {file: place for place, file in enumerate(files)}
    ends = Counter(file[first:] for file in files for first in range(1, len(file)))
    unique = {
        file[first:]: place
        for place, file in enumerate(files)
        for first in range(1, len(file))
        if ends[file[first:]] == 1
    }
    rows = np.full(len(files), -1, np.int64)
    for row, name in enumerate(names):
        parts = tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))
        longer = (whole[parts[first:]] for first in range(len(parts)) if parts[first:] in whole)
        if (place := next(longer, unique.get(parts))) is None:
            continue
        if rows[place] >= 0:
            raise UserError(
                f"{where}: rows {rows[place]} and {row}, counted from 0, are both of {'/'.join(files[place])}",
                "store one row for each file, with enough of its path to distinguish it from others",
            )
        rows[place] = row
    if len(missing := np.flatnonzero(rows < 0)):
        more = f" and {len(missing) - 1:,} more of {len(files):,} files" if len(missing) > 1 else ""
        raise UserError(
            f"{where} has no row for {'/'.join(files[missing[0]])}{more}",
            "store a row for every file, or leave the names out and store rows in the order of the files",
        )
    return rows
