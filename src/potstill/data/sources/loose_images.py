"""Images without labels, in a folder or a zip archive: folders say nothing about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from potstill.data.choices import Choices
from potstill.data.found import Encoded, Found, Labels, Part
from potstill.data.sources.base import stamps
from potstill.data.sources.folder import read_images
from potstill.data.sources.folder_layout import split_folders
from potstill.data.sources.image_tree import ImageTree, Parts, tree_of_archive, tree_of_folder
from potstill.runtime.errors import UserError


@dataclass(frozen=True)
class LooseImages:
    """All images of a folder or of a zip archive, at any depth, in the order of their paths.

    Attributes:
        name: what they are called in records.
        path: the folder or the archive.
    """

    name: str
    path: Path

    @classmethod
    def at(cls, path: Path) -> Self | None:
        """The images of a folder or of a ``.zip``; None for anything else."""
        if path.is_dir():
            return cls(path.resolve().name, path)
        return cls(path.stem, path) if path.suffix.lower() == ".zip" and path.is_file() else None

    @property
    def is_archive(self) -> bool:
        """Whether the images are in a zip archive."""
        return not self.path.is_dir()

    @cached_property
    def tree(self) -> ImageTree:
        """All images."""
        return tree_of_archive(self.path) if self.is_archive else tree_of_folder(self.path)

    @cached_property
    def parts(self) -> Sequence[Parts]:
        """Where each image is below the folder or in the archive."""
        return sorted(self.tree.root.walk())

    @property
    def files(self) -> Sequence[Path] | None:
        """The file of each image; None in an archive."""
        return None if self.is_archive else [self.path.joinpath(*parts) for parts in self.parts]

    @property
    def is_flat(self) -> bool:
        """Whether no image is in a folder, so that no folder can be a class or a split."""
        root = self.tree.root
        return bool(root.images) and root.count == len(root.images)

    def check(self) -> None:
        """Refuse a folder without images, and several splits.

        Raises:
            UserError: there are no images, or folders are called as different splits are.
        """
        if not self.parts:
            raise UserError(f"{self.path} has no images", "name a folder of images, or a .zip of one")
        splits = split_folders(self.tree.root)
        if len(splits) > 1:
            first, second, *_ = splits.values()
            raise UserError(
                f"the folders {first} and {second} in {self.path} have the names of splits",
                f"name one of them: {self.path / splits.get('train', first)}",
            )

    def signature(self) -> Any:
        """The stamp of every image file, or of the archive."""
        return {"loose": stamps([self.path] if self.files is None else self.files)}

    def find(self, choices: Choices) -> Found:
        """The images, all of one class without a name."""
        images = self.parts
        part = Part(
            Encoded(len(images), lambda: self.read(images)),
            Labels(np.zeros(len(images), np.int64), ("",), ordered=True),
            "all images",
        )
        return Found("images without labels", str(self.path), (part,), left_out=self.tree.left_out)

    def read(self, images: Sequence[Parts]) -> Iterator[tuple[bytes | Path, str]]:
        """Some images before they are decoded, each with its name in errors."""
        return read_images(self.path, images, archive=self.is_archive)
