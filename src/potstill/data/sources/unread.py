"""What to say about a path that no source reads: what it seems to be, and what to do with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from potstill.runtime.errors import Unlabelled, UserError
from potstill.runtime.reading import open_regular

FILES: Mapping[str, tuple[str, str]] = {
    ".tar": ("a tar archive, which is not read", "unpack it, and name the folder"),
    ".tgz": ("a tar archive, which is not read", "unpack it, and name the folder"),
    ".gz": ("a gzipped file, which is read only as a part of MNIST's layout", "unpack it, and name the folder"),
    ".7z": ("a 7z archive, which is not read", "unpack it, and name the folder"),
    ".rar": ("a rar archive, which is not read", "unpack it, and name the folder"),
    ".npy": ("a single array", "save images and labels together as train_images and train_labels in an .npz"),
    ".pt": ("a PyTorch pickle, which could run code and is not read", "save the arrays as an .npz"),
    ".pth": ("a PyTorch pickle, which could run code and is not read", "save the arrays as an .npz"),
    ".pkl": ("a pickle, which could run code and is not read", "save the arrays as an .npz"),
    ".pickle": ("a pickle, which could run code and is not read", "save the arrays as an .npz"),
    ".mat": ("a MATLAB file whose layout is not SVHN's", "save the arrays as an .npz"),
    ".h5": ("an HDF5 file of another layout than that of usps.h5", "save the arrays as an .npz"),
    ".hdf5": ("an HDF5 file of another layout than that of usps.h5", "save the arrays as an .npz"),
    ".csv": ("a text table, which is not read", "put the images of each class in a folder of its own"),
    ".tfrecord": ("a TFRecord file, which is not read", "save the images as parquet or in class folders"),
}
"""Files that hold datasets elsewhere, by their suffixes: what they are, and what to do."""
CHOICES = ("index", "index,class", "index,file", "index,class,file")
"""The first lines of the tables of ``potstill select``."""
PACKED = (".tar", ".tgz", ".gz", ".zip", ".7z", ".rar", ".npz", ".mat", ".h5", ".parquet")


def unread(path: Path) -> UserError:
    """The error for a path that exists and that no source reads.

    Args:
        path: a file or a folder.
    """
    if _is_choice(path):
        return UserError(
            f"dataset {path} is a table that potstill select wrote, not a dataset",
            "repeat potstill select with `copy=FOLDER`, and name what that writes",
        )
    if not path.is_dir():
        what, remedy = FILES.get(path.suffix.lower(), ("neither a folder nor an .npz or .zip file", "check the path"))
        return UserError(f"dataset {path} is {what}", remedy)
    if looks_like_mhist(path):
        return UserError(
            f"{path} has annotations.csv and images, as MHIST has, but no class folders",
            f"if it is MHIST, write mhist:{path}",
        )
    packed = sorted(child.name for child in path.iterdir() if child.suffix.lower() in PACKED)
    if packed:
        return UserError(
            f"{path} contains neither parquet files nor class folders, but {', '.join(packed[:3])}",
            "unpack it, or name the file itself",
        )
    return Unlabelled(
        f"{path} contains neither parquet files nor class folders",
        "put the images of each class in a folder of its own",
    )


def _is_choice(path: Path) -> bool:
    """Whether a file begins as the tables of ``potstill select`` do."""
    if path.suffix.lower() != ".csv":
        return False
    try:
        with open_regular(path) as stream:
            return stream.readline(64).decode("utf-8", "replace").rstrip("\r\n") in CHOICES
    except OSError:
        return False


def few_classes(name: str) -> Unlabelled:
    """The error for a dataset with fewer than two classes.

    Args:
        name: what it is called.
    """
    return Unlabelled(f"{name} has fewer than two classes", "provide images of at least two classes")


def looks_like_mhist(folder: Path) -> bool:
    """Whether a folder has MHIST's table and one folder of images, and so no class folders."""
    folders = [child.name for child in folder.iterdir() if child.is_dir() and not child.name.startswith(".")]
    return folders == ["images"] and (folder / "annotations.csv").exists()
