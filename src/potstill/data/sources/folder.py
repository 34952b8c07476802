"""Class folders, in a folder or in a zip archive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from potstill.data.choices import Choices
from potstill.data.formats.zip_archive import read_members
from potstill.data.found import Encoded, Found, Labels, Part
from potstill.data.sources.base import Request, existing, stamps
from potstill.data.sources.folder_layout import Classes, class_names, understand_folders
from potstill.data.sources.image_tree import ImageTree, Parts, tree_of_archive, tree_of_folder
from potstill.data.sources.unread import few_classes, looks_like_mhist


@dataclass(frozen=True)
class ImageFolder:
    """``CLASS/*.png``, or ``train/CLASS/*.png`` beside ``test``, ``val`` or both, in a folder or a zip archive."""

    name: str
    path: Path

    @classmethod
    def recognise(cls, request: Request) -> Self | None:
        """A folder that has folders, or a path that ends in ``.zip``."""
        path = request.path
        if path is not None and path.suffix.lower() == ".zip":
            return cls(path.stem, existing(path))
        folder = request.folder
        if folder is None or looks_like_mhist(folder) or not _has_folders(folder):
            return None
        return cls(request.name, folder)

    @property
    def is_archive(self) -> bool:
        """Whether the images are in a zip archive."""
        return self.path.suffix.lower() == ".zip" and not self.path.is_dir()

    @cached_property
    def tree(self) -> ImageTree:
        """All images."""
        return tree_of_archive(self.path) if self.is_archive else tree_of_folder(self.path)

    def signature(self) -> Any:
        """The stamp of every image file, or of the archive."""
        if self.is_archive:
            return {"zip": stamps([self.path])}
        return {"folder": stamps(self.path.joinpath(*parts) for parts in sorted(self.tree.root.walk()))}

    def find(self, choices: Choices) -> Found:
        """The files; classes are in the order of their folders' names.

        Raises:
            UserError: a class has no image, or the folders may be meant in several ways.
        """
        layout = understand_folders(self.tree.root, str(self.path), choices)
        if len({name for classes in layout.splits.values() for name in classes}) < 2:  # before anything is decoded
            raise few_classes(self.name)
        return Found(
            f"{layout.words} in a zip archive" if self.is_archive else layout.words,
            str(self.path),
            tuple(self._part(split, classes) for split, classes in layout.splits.items()),
            named="" not in layout.splits,
            left_out=(*self.tree.left_out, *layout.left_out),
            remarks=layout.remarks,
        )

    def _part(self, split: str, classes: Classes) -> Part:
        names = class_names(classes, str(self.path))
        files = [sorted(folder.walk()) for folder in classes.values()]
        labels = np.repeat(np.arange(len(files)), [len(members) for members in files])
        images = [parts for members in files for parts in members]
        return Part(
            Encoded(len(images), lambda: read_images(self.path, images, archive=self.is_archive)),
            Labels(labels, tuple(names)),
            f"folder {split}" if split else "class folders",
            (split,) if split else (),
        )


def read_images(path: Path, images: Sequence[Parts], *, archive: bool) -> Iterator[tuple[bytes | Path, str]]:
    """Images before they are decoded, each with its name in errors.

    Args:
        path: the folder or the zip archive.
        images: where they are in it.
        archive: whether it is an archive.
    """
    if archive:
        contents = read_members(path, images)
        yield from ((content, f"{path}, {'/'.join(parts)}") for content, parts in zip(contents, images, strict=True))
    else:
        paths = (path.joinpath(*parts) for parts in images)
        yield from ((file, str(file)) for file in paths)


def _has_folders(folder: Path) -> bool:
    return any(child.is_dir() and not child.name.startswith(".") for child in folder.iterdir())
