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
from potstill.data.sources.image_tree import ImageTree, Parts, tree_of_folder
from potstill.data.sources.published.layout import read_within
from potstill.runtime.errors import UserError
from potstill.schema.account import LeftOut

ANNOTATIONS = "val/val_annotations.txt"
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
        for below in BELOW if request.folder is not None else ():
            folder = request.folder / below if request.folder is not None else Path()
            if all((folder / part).exists() for part in ("train", "val/images", ANNOTATIONS)):
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
            UserError: an annotation is malformed, or a class has no images.
        """
        folders = self.tree.root.folders
        train = [(name, parts) for name, folder in folders["train"].folders.items() for parts in sorted(folder.walk())]
        if not train:
            raise UserError(f"{self.folder / 'train'} has no images", REMEDY)
        validation = self._annotated()
        unlabelled = folders["test"].count if "test" in folders else 0
        left_out = [*self.tree.left_out]
        if unlabelled:
            left_out.append(LeftOut(count=unlabelled, what="images in test", why="they have no labels"))
        if others := folders["val"].count - len(validation):
            left_out.append(LeftOut(count=others, what="images in val", why="they have no annotation"))
        return Found(
            "Tiny ImageNet as unzipped",
            str(self.folder),
            (self._part("train", train, "folder train"), self._part("val", validation, ANNOTATIONS)),
            named=True,
            left_out=tuple(left_out),
            remarks=self._words({name for name, _ in train}),
        )

    def _annotated(self) -> list[tuple[str, Parts]]:
        """The class and the file of each validation image, in the order of the annotations."""
        path = self.folder / ANNOTATIONS
        images = set(self.tree.root.folders["val"].folders["images"].images)
        annotated: dict[str, str] = {}
        for number, line in enumerate(_lines(path), start=1):
            name, class_name, *_ = (*line.split("\t"), "", "")
            if name not in images or not class_name or name in annotated:
                raise UserError(f"{path}, line {number}: {name!r} is no image in val/images, or stands twice", REMEDY)
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
        raise UserError(f"{path} is not a text", REMEDY) from error
