"""Folders in which programs log their sets: a run of MTT and of programs after it has files of images and of labels."""

from __future__ import annotations

from pathlib import Path

from potstill.runtime.errors import UserError
from potstill.runtime.text import visible

PATTERNS = ("images*.pt", "res_*.pt", "data*.pt")
FOLDERS = (".", "Normal")  # DATM and PAD log the images of their main run in the second
SHOWN = 8


def logged_set(folder: Path) -> Path | None:
    """The set in the folder of a run.

    Args:
        folder: of a run, or any other.

    Returns:
        The file of the set; None if there is none of a released layout.

    Raises:
        UserError: there are several.
    """
    found = sorted(
        {file for part in FOLDERS for pattern in PATTERNS for file in (folder / part).glob(pattern) if file.is_file()}
    )
    if len(found) > 1:
        names = [visible(str(file.relative_to(folder))) for file in found]
        shown = ", ".join(names[:SHOWN]) + (", ..." if names[SHOWN:] else "")
        raise UserError(f"{folder} holds {len(found)} sets: {shown}", "name the file of one")
    return found[0] if found else None
