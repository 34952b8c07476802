"""The files of well-known datasets as their publishers offer them, unpacked; one layout per file.

A layout is recognised by the names of its files. A new one is a file here and an entry of :data:`LAYOUTS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from potstill.data.choices import Choices
from potstill.data.found import Found
from potstill.data.sources.base import Request, stamps
from potstill.data.sources.published.cifar import CIFAR100_BINARY, CIFAR100_PYTHON, CIFAR_BINARY, CIFAR_PYTHON
from potstill.data.sources.published.idx_files import IDX
from potstill.data.sources.published.layout import Files, Layout
from potstill.data.sources.published.stl10 import STL10
from potstill.data.sources.published.svhn import SVHN
from potstill.data.sources.published.usps import USPS
from potstill.runtime.errors import UserError

LAYOUTS: tuple[Layout, ...] = (
    IDX,
    CIFAR_PYTHON,
    CIFAR_BINARY,
    CIFAR100_PYTHON,
    CIFAR100_BINARY,
    SVHN,
    STL10,
    USPS,
)


@dataclass(frozen=True)
class PublishedFiles:
    """The files of one dataset, in a folder or in the folder within it where they are unpacked.

    A folder of datasets, as torchvision keeps one, has to name one of them.
    """

    name: str
    folder: Path
    layout: Layout
    files: tuple[Path, ...]
    class_names: tuple[str, ...] | None

    @classmethod
    def recognise(cls, request: Request) -> Self | None:
        """A folder in which some layout finds its files, or one of those files that stands alone.

        Raises:
            UserError: the folder has the files of several datasets, or the file needs others.
        """
        path = request.path
        if path is None or not path.exists():
            return None
        names = request.entry.class_names if request.entry is not None and request.entry.class_names else None
        if not path.is_dir():
            layout = next((layout for layout in LAYOUTS if layout.has(path.name)), None)
            if layout is None:
                return None
            if not layout.single:
                raise UserError(f"{path} is one of several files of a dataset", f"name its folder, {path.parent}")
            return cls(path.stem, path.parent, layout, (path,), names)
        found = [
            (folder, layout, files)
            for layout in LAYOUTS
            for folder in layout.places(path)
            if layout.is_complete(files := layout.files(folder))
        ]
        if len(found) > 1:
            listed = " and ".join(str(folder) for folder, _, _ in found[:3])
            raise UserError(f"{path} contains several datasets", f"name one of them: {listed}")
        return cls(request.name, *found[0], names) if found else None

    def signature(self) -> Any:
        """The stamps of the files."""
        return {"published": stamps(self.files), "layout": self.layout.words, "names": self.class_names}

    def find(self, choices: Choices) -> Found:
        """The images and labels in the files.

        Raises:
            UserError: a file is absent, damaged or unlike what was published.
        """
        chosen = frozenset(name for names in choices.roles.values() for name in names)
        pieces = self.layout.read(Files(self.files, chosen, self.class_names))
        return Found(
            self.layout.words,
            str(self.folder),
            pieces.parts,
            named=True,
            left_out=pieces.left_out,
            remarks=pieces.remarks,
        )
