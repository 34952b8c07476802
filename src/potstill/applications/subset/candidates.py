"""What may be chosen: the published training images of a dataset, or vectors in a file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from potstill.data import (
    NO_CHOICES,
    Choices,
    ImageDataset,
    LabeledImages,
    Vectors,
    load_dataset,
    read_vectors,
    stratified_split,
    training_files,
)
from potstill.data.splits import TEST_FRACTION
from potstill.runtime.errors import UserError
from potstill.runtime.progress import Progress, silent


@dataclass(frozen=True, eq=False)
class Candidates:
    """What may be chosen, in its published order.

    Attributes:
        name: as the user named it.
        members: the images or vectors.
        places: int64 (N,), the number of each in its published order: of all published training images, or of the rows.
        fingerprint: the SHA-256 of the dataset or of the vectors.
        dataset: the dataset whose training split they are; None for a file of vectors.
        files: the file of each; None if they are not in files of their own.
        held_out: how many published training images are held out for testing.
        usual_fingerprint: returns the fingerprint of the dataset with its usual splits, which experts record.
    """

    name: str
    members: LabeledImages | Vectors
    places: Tensor
    fingerprint: str
    dataset: ImageDataset | None = None
    files: Sequence[Path] | None = None
    held_out: int = 0
    usual_fingerprint: Callable[[], str] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image, or of a vector as an image of one pixel."""
        members = self.members
        return (members.values.shape[1], 1, 1) if isinstance(members, Vectors) else members.shape

    @property
    def labels(self) -> Tensor:
        """int64 (N,), on the CPU."""
        return self.members.labels.cpu()

    @classmethod
    def of_vectors(cls, path: str | Path, labels: str | Path | None = None) -> Candidates:
        """The vectors in a file.

        Args:
            path: an ``.npy`` file of floating-point numbers (N, D).
            labels: a file of their labels; None if they have none.

        Raises:
            UserError: a file cannot be used.
        """
        vectors = read_vectors(path, labels)
        return cls(str(path), vectors, torch.arange(len(vectors)), fingerprint_of(vectors))

    @classmethod
    def of_dataset(
        cls,
        spec: str | Path,
        *,
        tested: bool,
        data_root: str | Path | None = None,
        choices: Choices = NO_CHOICES,
        image_size: int | None = None,
        progress: Progress = silent,
    ) -> Candidates:
        """All published training images of a dataset; none is held out for validation.

        Args:
            spec: as for :func:`potstill.data.load_dataset`.
            tested: whether test images are needed. If none were published, a fifth of each class is held out.
            data_root: as for :func:`potstill.data.load_dataset`.
            choices: likewise.
            image_size: likewise.
            progress: likewise.

        Raises:
            UserError: the dataset cannot be loaded.
        """
        whole = load_dataset(
            spec,
            data_root=data_root,
            choices=choices,
            image_size=image_size,
            validation_fraction=0,
            test_fraction=0,
            progress=progress,
        )
        root = None if data_root is None else Path(data_root)
        files = training_files(spec, data_root=root, choices=choices)
        if files is not None and len(files) != len(whole.train):
            raise UserError(f"{spec} changed while it was read", "start again")
        again = partial(load_dataset, spec, data_root=data_root, choices=choices, image_size=image_size)
        made = cls(
            name=str(spec),
            members=whole.train,
            places=torch.arange(len(whole.train)),
            fingerprint=whole.fingerprint,
            dataset=whole,
            files=files,
            usual_fingerprint=lambda: again().fingerprint,
        )
        if not tested or len(whole.test):
            return made
        places, held = stratified_split(whole.train.labels, TEST_FRACTION, "test")
        rest = again(validation_fraction=0)
        if len(rest.train) != len(places):
            raise UserError(f"{spec} changed while it was read", "start again")
        return replace(
            made,
            members=rest.train,
            places=places,
            dataset=rest,
            files=None if files is None else [files[place] for place in places.tolist()],
            held_out=len(held),
        )


def fingerprint_of(vectors: Vectors) -> str:
    """The SHA-256 of the type, shape and values of vectors, and of their labels and classes."""
    values = vectors.values
    digest = hashlib.sha256(repr((values.dtype.str, values.shape, vectors.class_names)).encode())
    for first in range(0, len(values), rows := max(2**22 // values.shape[1], 1)):
        digest.update(values[first : first + rows].tobytes())
    digest.update(vectors.labels.numpy().tobytes())
    return digest.hexdigest()
