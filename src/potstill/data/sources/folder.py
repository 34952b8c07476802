"""A folder with one folder of image files per class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch

from potstill.data.decode import decode_images
from potstill.data.sources.base import RawDataset, Request, Split, split_role, stamps
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
        """The folder of each split; the whole folder is ``train`` if it has no folder of that name.

        A class may be called train, too; a split differs from it by having folders inside.
        """
        nested = [child for child in subfolders(self.folder) if subfolders(child)]
        splits = {role: child for child in nested if (role := split_role(child.name, {}))}
        return splits if "train" in splits else {"train": self.folder}

    def read(self, image_size: int | None, channels: int | None) -> RawDataset:
        """Decode the files; classes are in the order of their folders' names.

        Args:
            image_size: as in :func:`potstill.data.decode.decode_images`.
            channels: as in :func:`potstill.data.decode.decode_images`.

        Raises:
            UserError: a class has no image, a split has a class that ``train`` has not, or an image is damaged.
        """
        folders = self.split_folders()
        class_names = tuple(class_files(folders["train"]))
        splits = {}
        for split, folder in folders.items():
            files = class_files(folder)
            if strangers := sorted(set(files) - set(class_names)):
                raise UserError(
                    f"{folder} has the class {strangers[0]!r}, which {folders['train']} does not have",
                    "give every split the same class folders",
                )
            empty = next((name for name, members in files.items() if not members), None)
            if empty is not None:
                raise UserError(f"class {empty!r} has no images in {folder / empty}", "add images or remove the folder")
            labelled = [(class_names.index(name), path) for name, members in files.items() for path in members]
            images = decode_images(
                ((path, str(path)) for _, path in labelled), image_size=image_size, channels=channels
            )
            splits[split] = Split(images, torch.tensor([label for label, _ in labelled], dtype=torch.int64))
        return RawDataset(splits, class_names)


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
