"""USPS as an HDF5 file: ``train`` and ``test``, each with ``data`` (N, 256) in [0, 1] and ``target`` (N,)."""

from __future__ import annotations

from potstill.data.formats.hdf5 import read_hdf5
from potstill.data.found import Arrays, Labels, Part
from potstill.data.sources.published.layout import REMEDY, Files, Layout, Pieces
from potstill.runtime.errors import UserError

SPLITS = ("train", "test")
SIDE = 16


def _read(files: Files) -> Pieces:
    (path,) = files.paths
    arrays = read_hdf5(path, [f"{split}/{name}" for split in SPLITS for name in ("data", "target")])
    parts = []
    for split in SPLITS:
        images, labels = arrays.get(f"{split}/data"), arrays.get(f"{split}/target")
        if images is None or labels is None or images.ndim != 2 or images.shape[1] != SIDE * SIDE:
            raise UserError(f"{path} has no {split}/data (N, 256) with {split}/target", REMEDY)
        parts.append(
            Part(
                Arrays(images.reshape(-1, SIDE, SIDE), f"{path}, {split}/data"),
                Labels.of_numbers(labels, f"{path}, {split}/target"),
                f"{split}/data of {path.name}",
                (split,),
            )
        )
    return Pieces(tuple(parts))


USPS = Layout(words="an HDF5 file of USPS", names=r"usps\.h5", needed=(r"usps\.h5",), below=(), read=_read, single=True)
