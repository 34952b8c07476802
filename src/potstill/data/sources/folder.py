"""A folder with one folder of image files per class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from potstill.data.choices import Choices
from potstill.data.found import Encoded, Found, Labels, Part
from potstill.data.sources.base import Request, stamps
from potstill.data.split_names import SPLIT_ALIASES
from potstill.runtime.errors import UserError

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".gif", ".jfif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)


@dataclass(frozen=True)
class ImageFolder:
    """``FOLDER/CLASS/*.png``, or ``FOLDER/train/CLASS/*.png`` beside ``test``, ``val`` or both."""

    name: str
    folder: Path

    @classmethod
    def recognise(cls, request: Request) -> Self | None:
        """A folder that has folders."""
        folder = request.folder
        return cls(request.name, folder) if folder is not None and subfolders(folder) else None

    def signature(self) -> Any:
        """The stamp of every image file."""
        return {
            "folder": {
                split: {name: stamps(files) for name, files in class_files(folder).items()}
                for split, folder in self.split_folders().items()
            }
        }

    def split_folders(self) -> dict[str, Path]:
        """The folder of each published split by its name; the whole folder, without a name, if none is for training.

        A class may be called train, too; a split differs from it by having folders inside.
        """
        nested = [child for child in subfolders(self.folder) if subfolders(child)]
        splits = {child.name: child for child in nested if child.name.lower() in SPLIT_ALIASES}
        trains = any(SPLIT_ALIASES[name.lower()] == "train" for name in splits)
        return splits if trains else {"": self.folder}

    def find(self, choices: Choices) -> Found:
        """The files; classes are in the order of their folders' names.

        Raises:
            UserError: a class has no image.
        """
        parts = tuple(self._part(name, folder) for name, folder in self.split_folders().items())
        return Found("class folders", str(self.folder), parts)

    def _part(self, split: str, folder: Path) -> Part:
        files = class_files(folder)
        empty = next((name for name, members in files.items() if not members), None)
        if empty is not None:
            raise UserError(f"class {empty!r} has no images in {folder / empty}", "add images or remove the folder")
        paths = [path for members in files.values() for path in members]
        images = Encoded(len(paths), lambda: ((path, str(path)) for path in paths))
        labels = np.repeat(np.arange(len(files)), [len(members) for members in files.values()])
        origin = f"folder {split}" if split else "class folders"
        return Part(images, Labels(labels, tuple(files)), origin, (split,) if split else ())


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted by name, without hidden ones."""
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))


def class_files(folder: Path) -> dict[str, list[Path]]:
    """The image files of each class folder, at any depth, sorted by path.

    Raises:
        UserError: the name of a class is not UTF-8, so that no record could hold it.
    """
    for child in subfolders(folder):
        if any(0xD800 <= ord(letter) <= 0xDFFF for letter in child.name):
            raise UserError(f"the class folder {child.name!a} in {folder} has a name that is not UTF-8", "rename it")
    return {
        child.name: sorted(path for path in child.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
        for child in subfolders(folder)
    }
