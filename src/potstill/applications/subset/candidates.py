"""What may be chosen: the published training images of a dataset, images without labels, or vectors in a file."""

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
    ImageFiles,
    LabeledImages,
    Vectors,
    find_unlabelled,
    load_dataset,
    load_unlabelled,
    read_vector_file,
    stratified_split,
    training_files,
)
from potstill.data.splits import TEST_FRACTION
from potstill.runtime.errors import UserError
from potstill.runtime.files import sha256_of_files
from potstill.runtime.progress import Progress, silent
from potstill.schema.words import counted


@dataclass(frozen=True, eq=False)
class Candidates:
    """What may be chosen, in its published order.

    Attributes:
        name: as the user named it.
        members: the images or vectors; of images without labels perhaps only their files.
        places: int64 (N,), the number of each in its published order: of all published training images, or of the rows.
        fingerprint: the SHA-256 of the dataset, of the files or of the vectors.
        dataset: the dataset whose training split they are; None without labels, and for a file of vectors.
        files: the file of each; None if they are not in files of their own.
        archived: the path of each in a ``.zip``, if that is where images without labels are.
        held_out: how many published training images are held out for testing.
        usual_fingerprint: returns the fingerprint of the dataset with its usual splits, which experts record.
        remarks: how they were understood, one sentence each; a dataset has an account of its own.
    """

    name: str
    members: LabeledImages | ImageFiles | Vectors
    places: Tensor
    fingerprint: str
    dataset: ImageDataset | None = None
    files: Sequence[Path] | None = None
    archived: Sequence[Path] | None = None
    held_out: int = 0
    usual_fingerprint: Callable[[], str] | None = None
    remarks: tuple[str, ...] = ()

    @property
    def holds_vectors(self) -> bool:
        """Whether these are vectors rather than images."""
        members = self.members
        return isinstance(members, Vectors) or (isinstance(members, LabeledImages) and members.holds_vectors)

    @property
    def labelled(self) -> bool:
        """Whether there are classes."""
        return tuple(self.members.class_names) != ("",)

    @property
    def decoded(self) -> bool:
        """Whether images are whole; of files that were not decoded only central squares are read, to look at."""
        return not isinstance(self.members, ImageFiles)

    @property
    def pictures(self) -> LabeledImages | ImageFiles | None:
        """The images, to look at; None for vectors."""
        return None if isinstance(self.members, Vectors) or self.holds_vectors else self.members

    @property
    def names(self) -> Sequence[str] | None:
        """The file of each, by its path or as vectors name it; None if they are not of files."""
        if (paths := self.files or self.archived) is not None:
            return list(map(str, paths))
        return self.members.files if isinstance(self.members, Vectors) else None

    @property
    def labels(self) -> Tensor:
        """int64 (N,), on the CPU."""
        return self.members.labels.cpu()

    @classmethod
    def of_vectors(cls, path: str | Path, labels: str | Path | None = None, *, column: str | None = None) -> Candidates:
        """The vectors in a file, whatever else it holds.

        Args:
            path: an ``.npy``, ``.npz`` or parquet file, as for :func:`potstill.data.read_vector_file`.
            labels: a file of their labels; None takes none.
            column: the column of a table to take.

        Raises:
            UserError: a file cannot be used.
        """
        vectors = read_vector_file(path, labels, column=column)
        without = "" if labels is not None else ", without labels"
        return cls(
            str(path),
            vectors,
            torch.arange(len(vectors)),
            fingerprint_of(vectors),
            remarks=(f"{path}: {vectors.remark}{without}",) if vectors.remark else (),
        )

    @classmethod
    def of_images(
        cls,
        path: str | Path,
        *,
        decoded: bool = True,
        image_size: int | None = None,
        progress: Progress = silent,
    ) -> Candidates:
        """All images of a folder or of a ``.zip``, at any depth, in the order of their paths, without labels.

        Args:
            path: the folder or the archive.
            decoded: whether pixels will be looked at. Otherwise images may differ in size, and only those are opened
                that are shown.
            image_size: as for :func:`potstill.data.load_dataset`; only if they are decoded.
            progress: likewise.

        Raises:
            UserError: this is no folder or ``.zip``, it has no images or several splits, or an image cannot be read.
        """
        if image_size is not None and not decoded:
            raise UserError("`image_size` has no effect: pixels are not used", "leave it out")
        found = find_unlabelled(path, insisted=True)
        assert found is not None, path
        told = f"{path}: {counted(len(found.parts), 'image')} without labels, numbered in the order of their paths"
        left_out = found.tree.left_out
        remarks = [told, *([f"left out: {'; '.join(map(str, left_out))}"] if left_out else [])]
        if decoded:
            images = load_unlabelled(found, image_size=image_size, progress=progress)
            members, fingerprint = images.images, images.fingerprint
            remarks += [f"pixels: {images.account.pixels}", *(f"noted: {each}" for each in images.account.remarks)]
        else:
            progress("hashing the files")
            members = ImageFiles(found)
            fingerprint = sha256_of_files([found.path] if found.files is None else found.files)
        return cls(
            name=str(path),
            members=members,
            places=torch.arange(len(members)),
            fingerprint=fingerprint,
            files=found.files,
            archived=[Path(*parts) for parts in found.parts] if found.is_archive else None,
            remarks=tuple(remarks),
        )

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
