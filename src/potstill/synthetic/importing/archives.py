"""Sets in ``.npz`` archives, of other programs and of ``potstill export``.

An archive has the arrays ``images`` and ``labels``, or ``train_images`` or ``train_vectors`` and ``train_labels``, or
``vectors`` and ``labels``, or images alone; perhaps also ``class_names``, in which labels are positions. That of
``potstill export`` says everything itself, and is read exactly; of a set with a formation it holds every picture in
full size.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from potstill.data import Whitening
from potstill.data.formats.npz_archive import NpzArchive, open_npz
from potstill.runtime.errors import UserError
from potstill.runtime.text import visible
from potstill.synthetic.importing.released import Released, as_tensor, not_read, one_number, read_content

PAIRS = (
    ("images", "labels"),
    ("train_images", "train_labels"),
    ("train_vectors", "train_labels"),
    ("vectors", "labels"),
)
"""The arrays of an archive that hold a set; the first of them that there are."""
CLASS_NAMES = "class_names"
OWN = ("images_normalised", "mean", "std", CLASS_NAMES, "train_labels")
"""The arrays of an archive that ``potstill export`` wrote."""


def read_archive(path: Path, *, classes: int, labels: Path | None = None, experiment: int | None = None) -> Released:
    """Read an archive. Arrays that are not read are named.

    Args:
        path: the archive.
        classes: as for :func:`potstill.synthetic.importing.released.read_released`.
        labels: likewise.
        experiment: likewise; an archive has none.

    Raises:
        UserError: it is damaged, or its arrays have other names, or the labels are not found.
    """
    with open_npz(path) as archive:
        own = set(OWN) <= set(archive.names)
        if own and (labels is not None or experiment is not None):
            option = "labels" if labels is not None else "experiment"
            raise UserError(f"{path} is an export of potstill, which states this itself", f"leave `{option}` out")
        if own:
            return _own_export(path, archive)
        pair = next((pair for pair in PAIRS if pair[0] in archive.names), None)
        if pair is None:
            shown = ", ".join(map(visible, archive.names[:5])) or "no arrays"
            raise UserError(f"{path} has no array 'images' among {shown}", "name its arrays 'images' and 'labels'")
        arrays = {name: as_tensor(archive.read(name)) for name in pair if name in archive.names}
        names = _class_names(archive)
        passed = [name for name in archive.names if name not in pair and (name != CLASS_NAMES or names is None)]
    images, given = arrays[pair[0]], arrays.get(pair[1])
    read = read_content(path, images if given is None else (images, given), classes, labels, experiment)
    return replace(read, remarks=(*read.remarks, *not_read(path, passed)), class_names=names)


def _own_export(path: Path, archive: NpzArchive) -> Released:
    """The set that ``potstill export --format npz`` wrote: its exact images, soft labels if there are some, and more.

    Raises:
        UserError: it is damaged, or its arrays do not fit together.
    """
    names = archive.names
    images = as_tensor(archive.read("images_normalised"))
    mean, std = (archive.read(name).astype(np.float64) for name in ("mean", "std"))
    channels = images.shape[1:2]
    if images.dim() != 4 or mean.shape != channels or std.shape != channels or not _may_normalise(mean, std):
        raise UserError(f"{path} has images, mean and std that do not fit together", "export the set again")
    labels = "soft_labels" if "soft_labels" in names else "train_labels"
    read = {*OWN, labels, "train_images", "train_vectors"}  # the last two hold the same, less exactly
    step_size, whitening = None, None
    if "step_size" in names:
        read.add("step_size")
        step_size = one_number(path / "step_size", archive.read("step_size"))
    if "whitening_matrix" in names and "whitening_mean" in names:
        read |= {"whitening_matrix", "whitening_mean"}
        matrix, centre = (as_tensor(archive.read(f"whitening_{part}")).float() for part in ("matrix", "mean"))
        size = images[0].numel() if len(images) else 0
        finite = bool(matrix.isfinite().all() and centre.isfinite().all())
        if matrix.shape != (size, size) or centre.shape != (size,) or not finite:
            raise UserError(f"{path} has a whitening that does not fit its images", "export the set again")
        whitening = Whitening(matrix, centre)
    said = ("read exactly, from images_normalised", *((f"labels from {labels}",) if labels == "soft_labels" else ()))
    return Released(
        images,
        as_tensor(archive.read(labels)),
        step_size,
        (*said, *not_read(path, [name for name in names if name not in read])),
        class_names=_class_names(archive),
        mean=tuple(mean.tolist()),
        std=tuple(std.tolist()),
        whitening=whitening,
    )


def _may_normalise(mean: np.ndarray, std: np.ndarray) -> bool:
    return bool(np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all())


def _class_names(archive: NpzArchive) -> tuple[str, ...] | None:
    """The names in an archive, if it has them as an array of texts."""
    if CLASS_NAMES not in archive.names:
        return None
    kind, shape = archive.kind_of(CLASS_NAMES)
    return tuple(archive.read_texts(CLASS_NAMES).tolist()) if kind.kind == "U" and len(shape) == 1 else None
