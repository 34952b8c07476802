"""From what the user calls a dataset to the dataset."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Literal

from potstill.data.assembly import assemble
from potstill.data.cache import read_cached
from potstill.data.catalogue import CATALOGUE, CatalogueEntry
from potstill.data.dataset import ImageDataset
from potstill.data.sources.base import Source
from potstill.data.sources.digits import Digits
from potstill.data.sources.folder import ImageFolder, subfolders
from potstill.data.sources.hub import Hub
from potstill.data.sources.mhist import Mhist
from potstill.data.sources.npz import Npz
from potstill.data.sources.parquet import ParquetFolder
from potstill.runtime import environment
from potstill.runtime.errors import UserError, unknown


def load_dataset(
    spec: str,
    *,
    data_root: Path | None = None,
    image_size: int | None = None,
    validation_fraction: float = 0.1,
    zca: bool = False,
    cache: Path | Literal["user"] | None = "user",
) -> ImageDataset:
    """Load a labelled image dataset, with every image decoded to bytes in memory.

    Args:
        spec: a name of :data:`CATALOGUE`; a folder of class folders, or of parquet files; an ``.npz`` in MedMNIST's
            layout; ``mhist:FOLDER``; or ``hf:OWNER/NAME`` (``hf:OWNER/NAME/CONFIG``) on the Hugging Face hub.
        data_root: a folder with local copies of catalogue datasets, each in a folder of its name, which is looked at
            before the hub; by default the folder that the environment variable ``POTSTILL_DATA`` names.
        image_size: resize the shorter side to this (bilinear, antialiased) and cut the central square.
        validation_fraction: the share of each class of the training images that is held out for validation, at least
            one image of a class of two or more, where the dataset brings no validation split; 0 holds none out.
        zca: whiten with a ZCA fitted on the training images alone.
        cache: where decoded images are kept; ``"user"`` is ``potstill`` in the user's cache folder, None keeps none.

    Raises:
        UserError: the dataset is unknown, cannot be had or is damaged, or an option is out of range.
    """
    if image_size is not None and image_size < 1:
        raise UserError(f"image size {image_size} is not positive", "give --image-size in pixels")
    if not 0 <= validation_fraction < 1:
        raise UserError(f"validation fraction {validation_fraction} is outside [0, 1)", "use 0.1, for example")
    source, entry = find_source(spec, data_root)
    resized = entry is not None and entry.resized
    size = min(entry.shape[1:]) if image_size is None and entry is not None and resized else image_size
    folder = environment.cache_folder() / "decoded" if cache == "user" else cache
    raw = read_cached(source, folder, size, entry.shape[0] if entry is not None else None)
    made = assemble(raw, source.name, entry, validation_fraction=validation_fraction, zca=zca)
    return replace(made, spec=spec, image_size=image_size)


def short_name(spec: str) -> str:
    """What the folder of a run of this dataset is called after: ``mhist:photos/v1.5`` gives ``v1.5``."""
    path = Path(spec.rpartition(":")[2])
    return path.stem if path.suffix == ".npz" else path.resolve().name


def find_source(spec: str, data_root: Path | None = None) -> tuple[Source, CatalogueEntry | None]:
    """Where the dataset that ``spec`` names is to be read from, and what the catalogue knows of it.

    Raises:
        UserError: there is no such dataset, folder or file.
    """
    prefix, _, rest = spec.partition(":")
    if prefix == "hf":
        return _hub(rest), None
    if prefix == "mhist":
        return Mhist(_existing(Path(rest).expanduser())), None
    if spec in CATALOGUE:
        entry = CATALOGUE[spec]
        return _catalogued(entry, data_root), entry
    path = Path(spec).expanduser()
    if path.suffix == ".npz":
        return Npz(path.stem, _existing(path)), None
    if path.is_dir():
        return _folder(path.resolve().name, path, None), None
    if os.sep in spec or path.exists():
        raise UserError(f"dataset {spec} is no folder and no .npz file", "check the path")
    raise unknown("dataset", spec, CATALOGUE, listing="potstill list datasets")


def _catalogued(entry: CatalogueEntry, data_root: Path | None) -> Source:
    """The local copy of a catalogue dataset where there is one, else what is embedded or on the hub."""
    root = data_root if data_root is not None else environment.data_root()
    if root is not None:
        if not root.is_dir():
            raise UserError(f"the local data root {root} is no folder", "correct --data-root or POTSTILL_DATA")
        if (root / entry.name).is_dir():
            return _folder(entry.name, root / entry.name, entry)
    if entry.hub is None:
        return Digits()
    return Hub(entry.name, entry.hub, entry.config, entry)


def _folder(name: str, folder: Path, entry: CatalogueEntry | None) -> Source:
    """Tell a folder of parquet files from one of class folders by what is in it."""
    if next(folder.rglob("*.parquet"), None) is not None:
        return ParquetFolder(name, folder, entry)
    if subfolders(folder):
        return ImageFolder(name, folder)
    raise UserError(
        f"{folder} holds neither parquet files nor class folders", "put the images of each class in a folder of its own"
    )


def _hub(address: str) -> Hub:
    parts = address.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise UserError(f"'hf:{address}' names no dataset of the hub", "write hf:OWNER/NAME or hf:OWNER/NAME/CONFIG")
    repository = "/".join(parts[:2])
    return Hub(repository, repository, parts[2] if len(parts) == 3 else None)


def _existing(path: Path) -> Path:
    if not path.exists():
        raise UserError(f"{path} does not exist", "check the path")
    return path
