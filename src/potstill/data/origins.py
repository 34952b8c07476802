"""The files that the training images of a dataset are in, for those who want the files and not the pixels."""

from __future__ import annotations

from pathlib import Path

from potstill.data.choices import NO_CHOICES, Choices
from potstill.data.found import Encoded
from potstill.data.load import find_source
from potstill.data.understanding import understand


def training_files(
    spec: str | Path, *, data_root: Path | None = None, choices: Choices = NO_CHOICES
) -> tuple[Path, ...] | None:
    """The file of each published training image, in the order in which a dataset has them.

    Args:
        spec: as for :func:`potstill.data.load_dataset`.
        data_root: likewise.
        choices: likewise.

    Returns:
        A path for each image; None if images are not in files of their own.

    Raises:
        UserError: as for :func:`potstill.data.load_dataset`.
    """
    source, _ = find_source(str(spec), data_root)
    files: list[Path] = []
    for part in understand(source.find(choices), choices).parts["train"]:
        if not isinstance(part.images, Encoded):
            return None
        for content, _name in part.images.read():
            if not isinstance(content, Path):
                return None
            files.append(content)
    return tuple(files)
