"""A folder with the chosen files, as copies or as links."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from potstill.runtime.errors import UserError
from potstill.runtime.reading import cannot_write


def copy_files(
    files: Sequence[Path], labels: Sequence[int], names: Sequence[str], folder: Path, *, link: bool = False
) -> None:
    """Put files into a new folder, those of each class into a folder with the name of the class.

    Files of one class that have the same name get the names of their folders before it.

    Args:
        files: the files.
        labels: the class of each.
        names: of the classes; separators in them become dashes.
        folder: the new folder.
        link: make symbolic links instead of copies.

    Raises:
        UserError: the folder exists already, or cannot be written.
    """
    if folder.exists():
        raise UserError(f"{folder} already exists", "name a new folder")
    places = [_folder_of(name) for name in names]
    if len(set(places)) < len(places):
        raise UserError("two classes have names that are alike as names of folders", "use the table instead")
    try:
        for label, place in enumerate(places):
            members = [file for file, own in zip(files, labels, strict=True) if own == label]
            (folder / place).mkdir(parents=True)
            for file, name in zip(members, _different_names(members), strict=True):
                target = folder / place / name
                if link:
                    target.symlink_to(file.resolve())
                else:
                    shutil.copy2(file, target)
    except OSError as error:
        raise cannot_write(folder, error) from error


def _folder_of(name: str) -> str:
    """The name of a folder for a class."""
    plain = name.replace(os.sep, "-").replace("\0", "-").strip() or "class"
    return f"_{plain}" if plain.startswith(".") else plain


def _different_names(files: Sequence[Path]) -> list[str]:
    """A name for each file, its own where no other has it."""
    names = [file.name for file in files]
    depth = 1
    while len(set(names)) < len(names):
        depth += 1
        again = {name for name, times in Counter(names).items() if times > 1}
        names = [
            "-".join(file.parts[-depth:]).replace(os.sep, "") if name in again else name
            for file, name in zip(files, names, strict=True)
        ]
    return names
