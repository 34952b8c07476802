"""Where a set is: in the folder of a run or of an imported set, in a file of its own, or on the Hugging Face hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from potstill.runtime.safetensors_io import UNREADABLE, read_header
from potstill.schema.run_folder import RunPaths, not_a_run
from potstill.schema.set_file import FORMAT, FORMED
from potstill.synthetic.hub import PREFIX, SET_FILE, fetch_set, name_and_revision


@dataclass(frozen=True)
class SetPlace:
    """Where a set is.

    Attributes:
        path: the folder of a run or of an imported set, or the file of a set; for a set on the hub, a folder for what
            is measured of it, which need not exist.
        file: the file of the set, which has not been read yet.
    """

    path: Path
    file: Path

    @property
    def folder(self) -> Path:
        """The folder for what is measured of the set."""
        return self.path.parent if self.path == self.file else self.path

    @property
    def run(self) -> RunPaths | None:
        """The files of a run, as far as there are any; None if the set is not in a folder of its own."""
        run = RunPaths(self.path)
        return run if run.synthetic == self.file else None


def holds_set(file: Path) -> bool:
    """Whether a file says that it is a set, usable or not."""
    try:
        _, metadata = read_header(file)
    except UNREADABLE:
        return False
    return metadata.get("format") in (FORMAT, FORMED)


def find_set(name: str | Path) -> SetPlace:
    """Find a set; one on the hub is downloaded, and what is measured of it belongs in ``runs/OWNER--NAME``.

    Args:
        name: the folder of a run or of an imported set, the file of a set, or ``hf:OWNER/NAME``, perhaps with a branch,
            tag or commit, as ``hf:OWNER/NAME@REVISION``; that of a revision belongs in ``runs/OWNER--NAME@REVISION``.

    Raises:
        UserError: the folder has no set, or the hub cannot be reached or has no such set.
    """
    if str(name).startswith(PREFIX):
        plain, revision = name_and_revision(str(name))
        folder = plain if revision is None else f"{plain}@{revision}"
        return SetPlace(Path("runs") / folder.replace("/", "--"), fetch_set(plain, revision=revision))
    path = Path(name)
    if path.is_dir():
        place = SetPlace(path, RunPaths(path).synthetic)
        if not place.file.exists():
            raise not_a_run(path)
        return place
    return SetPlace(path.parent if path.name == SET_FILE else path, path)
