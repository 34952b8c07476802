"""A folder with the chosen files, as copies or as links."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from potstill.runtime.errors import UserError
from potstill.runtime.files import staged
from potstill.runtime.reading import cannot_read, open_regular


def copy_files(
    files: Sequence[Path], labels: Sequence[int], names: Sequence[str], folder: Path, *, link: bool = False
) -> None:
    """Put files into a new folder, those of each class into a folder with the name of the class.

    Without classes, that is with one of an empty name, there are no folders in it. Files of one class that have the
    same name get the names of their folders before it.

    Args:
        files: the files.
        labels: the class of each.
        names: of the classes; separators in them become dashes.
        folder: the new folder.
        link: make symbolic links instead of copies.

    Raises:
        UserError: the folder exists already or cannot be written, a file cannot be read, or two classes have names that
            are alike as names of folders.
    """
    if folder.exists():
        raise UserError(f"{folder} already exists", "name a new folder")
    places = [""] if tuple(names) == ("",) else [_folder_of(name) for name in names]
    if len({place.casefold() for place in places}) < len(places):
        raise UserError("two class names give the same folder name", "use the table instead")
    with staged(folder, remedy="free some space, or make links") as made:
        for label, place in enumerate(places):
            members = [file for file, own in zip(files, labels, strict=True) if own == label]
            (made / place).mkdir(parents=True)
            for file, name in zip(members, _different_names(members), strict=True):
                if link:
                    (made / place / name).symlink_to(file.resolve())
                else:
                    _copy(file, made / place / name)


def _copy(file: Path, target: Path) -> None:
    try:
        open_regular(file).close()
    except OSError as error:
        raise cannot_read(file, error) from error
    shutil.copy2(file, target)


def _folder_of(name: str) -> str:
    """The name of a folder for a class."""
    plain = name.replace(os.sep, "-").replace("\0", "-").strip() or "class"
    return f"_{plain}" if plain.startswith(".") else plain


def _different_names(files: Sequence[Path]) -> list[str]:
    """A name for each file: its own where no other has it, otherwise with its folders, and at last with a number."""
    names = [file.name for file in files]
    for depth in range(2, max((len(file.parts) for file in files), default=0) + 1):
        again = {name for name, times in Counter(names).items() if times > 1}
        if not again:
            return names
        names = [
            "-".join(file.parts[-depth:]).replace(os.sep, "") if name in again else name
            for file, name in zip(files, names, strict=True)
        ]
    seen: Counter[str] = Counter()
    numbered = []
    for name in names:
        seen[name] += 1
        stem, dot, suffix = name.rpartition(".")
        numbered.append(name if seen[name] == 1 else f"{stem or suffix}-{seen[name]}{dot}{suffix if stem else ''}")
    return numbered
