"""Tiny ImageNet as it is unzipped: the classes of the validation images are in a text file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from potstill.data.choices import Choices
from potstill.data.found import Encoded, Found, Labels, Part
from potstill.data.sources.base import Request, stamps
from potstill.data.sources.folder_layout import class_names
from potstill.data.sources.image_tree import Folder, ImageTree, Parts, tree_of_folder
from potstill.data.sources.published.layout import read_within
from potstill.runtime.errors import UserError
from potstill.schema.account import LeftOut

ANNOTATIONS = "val/val_annotations.txt"
SPLITS = {"train": "train", "val": "val/images"}
"""The folders in which the images of the labelled splits lie."""
BELOW = ("", "tiny-imagenet-200")
REMEDY = "unzip tiny-imagenet-200.zip again"
LARGEST_TEXT = 2**24  # bytes; words.txt has 2.7 million


@dataclass(frozen=True)
class TinyImagenet:
    """``train/CLASS/images``, ``val/images`` with ``val/val_annotations.txt``, and ``test/images`` without labels."""

    name: str
    folder: Path

    @classmethod
    def recognise(cls, request: Request) -> Self | None:
        """A folder with ``train`` and the annotations of ``val``, whose images are still in one folder."""
        places = () if request.folder is None else [request.folder / below for below in BELOW]
        for folder in places:
            if all((folder / part).is_dir() for part in SPLITS.values()) and (folder / ANNOTATIONS).exists():
                return cls(request.name, folder)
        return None

    @cached_property
    def tree(self) -> ImageTree:
        """All images."""
        return tree_of_folder(self.folder)

    def signature(self) -> Any:
        """The stamps of the images, and of the text that labels them."""
        images = (self.folder.joinpath(*parts) for parts in sorted(self.tree.root.walk()))
        return {"tiny-imagenet": stamps([self.folder / ANNOTATIONS, *images])}

    def find(self, choices: Choices) -> Found:
        """The images; classes are called by their WordNet identifiers, as in every copy of the set.

        Raises:
            UserError: an annotation is malformed, or a class or a split has no images.
        """
        classes = self._folder("train").folders
        class_names(classes, str(self.folder))
        train = [(name, parts) for name, folder in classes.items() for parts in sorted(folder.walk())]
        if not train:
            raise UserError(f"{self.folder / 'train'} has no images", REMEDY)
        validation = self._annotated()
        return Found(
            "Tiny ImageNet as unzipped",
            str(self.folder),
            (self._part("train", train, "folder train"), self._part("val", validation, ANNOTATIONS)),
            named=True,
            left_out=(*self.tree.left_out, *self._unlabelled(len(validation))),
            remarks=self._words({name for name, _ in train}),
        )

    def _folder(self, split: str) -> Folder:
        """The folder with the images of a split.

        Raises:
            UserError: it is a link to a folder that has been read under another name.
        """
        folder = self.tree.root
        for part in SPLITS[split].split("/"):
            if part not in folder.folders:
                raise UserError(f"{self.folder / SPLITS[split]} is a link to a folder of the same dataset", REMEDY)
            folder = folder.folders[part]
        return folder

    def _unlabelled(self, annotated: int) -> list[LeftOut]:
        """Images that are read for no split, and why; ``annotated`` are read of those in ``val``."""
        root = self.tree.root
        unread = [("images beside the splits", len(root.images), "they are not in the folder of a split")]
        for name, folder in root.folders.items():
            match name:
                case "train":
                    unread.append(("images directly in train", len(folder.images), "they are in no class folder"))
                case "val":
                    unread.append(("images in val", folder.count - annotated, "they have no annotation"))
                case "test":
                    unread.append(("images in test", folder.count, "they have no labels"))
                case _:
                    unread.append((f"images in {name}", folder.count, "it is not a split of Tiny ImageNet"))
        return [LeftOut(count=count, what=what, why=why) for what, count, why in unread if count]

    def _annotated(self) -> list[tuple[str, Parts]]:
        """The class and the file of each validation image, in the order of the annotations."""
        path = self.folder / ANNOTATIONS
        images = set(self._folder("val").images)
        annotated: dict[str, str] = {}
        for number, line in enumerate(_lines(path), start=1):
            name, class_name, *_ = (*line.split("\t"), "", "")
            if name not in images or not class_name or name in annotated:
                raise UserError(
                    f"{path}, line {number}: {name!r} is not an image in val/images, or appears twice", REMEDY
                )
            annotated[name] = class_name
        return [(class_name, ("val", "images", name)) for name, class_name in annotated.items()]

    def _part(self, split: str, images: Sequence[tuple[str, Parts]], origin: str) -> Part:
        def read() -> Iterator[tuple[Path, str]]:
            for _, parts in images:
                path = self.folder.joinpath(*parts)
                yield path, str(path)

        return Part(Encoded(len(images), read), Labels.of_names([name for name, _ in images]), origin, (split,))

    def _words(self, classes: set[str]) -> tuple[str, ...]:
        """What the first identifiers mean, by ``words.txt``."""
        path = self.folder / "words.txt"
        if not path.exists():
            return ()
        meanings = dict(line.split("\t", 1) for line in _lines(path) if "\t" in line)
        known = [f"{name} is {meanings[name]}" for name in sorted(classes) if name in meanings]
        return (f"classes are called by WordNet identifiers: {'; '.join(known[:3])}; ...",) if known else ()


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in read_within(path, LARGEST_TEXT).decode("utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file", REMEDY) from error
