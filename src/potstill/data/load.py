"""A dataset by its name or path, or of what a program already has."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from potstill.data.assembly import assemble
from potstill.data.cache import read_cached
from potstill.data.catalogue import CATALOGUE, CatalogueEntry
from potstill.data.choices import NO_CHOICES, Choices
from potstill.data.dataset import ImageDataset
from potstill.data.reading import Room, read_source
from potstill.data.sources import SOURCES, Request, Source
from potstill.data.sources.objects import Objects
from potstill.data.sources.unread import unread
from potstill.data.splits import TEST_FRACTION, HeldOut
from potstill.runtime.bounds import check_least
from potstill.runtime.errors import UserError, unknown
from potstill.runtime.files import cache_folder, expanded
from potstill.runtime.files import data_root as data_root_of_environment
from potstill.runtime.progress import Progress, silent


def load_dataset(
    spec: str | Path,
    *,
    data_root: str | Path | None = None,
    choices: Choices = NO_CHOICES,
    image_size: int | None = None,
    validation_fraction: float = 0.1,
    test_fraction: float = TEST_FRACTION,
    zca: bool = False,
    cache: str | Path | None = "user",
    progress: Progress = silent,
) -> ImageDataset:
    """Load a labelled image dataset, with every image decoded to bytes.

    The images are in memory, unless they take more than a quarter of it, or of the ``memory_limit`` around this call.
    Then they stay in a decoded copy on disk, and are read when they are asked for.

    Args:
        spec: a name of :data:`CATALOGUE`; a folder of class folders, of parquet files, or of the published files of
            MNIST, CIFAR, SVHN, STL-10, USPS or Tiny ImageNet; a ``.zip`` of class folders; an ``.npz`` in MedMNIST's
            layout; ``mhist:FOLDER``; or ``hf:OWNER/NAME`` (``hf:OWNER/NAME/CONFIG``) on the Hugging Face hub.
        data_root: a folder with local copies of catalogue datasets, each in a folder of its name, which takes
            precedence over the hub; by default the folder that the environment variable ``POTSTILL_DATA`` names.
        choices: what to take where the files leave a choice: columns and splits.
        image_size: the side in pixels: the shorter side is resized to it (bilinear, antialiased), then the central
            square is cut out; None keeps the size.
        validation_fraction: the share of each class of the training images that is held out for validation, at least
            one image of a class of two or more, if the dataset has no validation split; 0 holds none out.
        test_fraction: likewise for the test split, before that; held out if neither a test nor a validation split was
            published.
        zca: whether to whiten, with a ZCA fitted to the training images alone.
        cache: where decoded images are kept; ``"user"`` is ``potstill`` in the user's cache folder, None keeps none.
        progress: callback for progress messages.

    Raises:
        UserError: the dataset is unknown, unavailable, damaged or ambiguous, or an option is out of range, or the
            images fit neither in memory nor on disk.
    """
    _check(image_size, validation_fraction, test_fraction)
    spec, data_root = str(spec), None if data_root is None else Path(data_root)
    source, entry = find_source(spec, data_root)
    resized = entry is not None and entry.resized
    size = min(entry.shape[1:]) if image_size is None and entry is not None and resized else image_size
    folder = cache_folder("decoded") if cache == "user" else None if cache is None else Path(cache)
    raw = read_cached(source, folder, choices, size, entry.shape[0] if entry is not None else None, progress)
    raw = replace(raw, account=replace(raw.account, remarks=(*raw.account.remarks, *_namesake(entry, data_root))))
    fractions = HeldOut(test=test_fraction, validation=validation_fraction)
    made = assemble(raw, source.name, entry, fractions, zca=zca)
    return replace(made, spec=spec, image_size=image_size, choices=choices)


def dataset_of(
    train: object,
    *,
    validation: object = None,
    test: object = None,
    name: str = "in-memory",
    class_names: Sequence[str] | None = None,
    flips: bool = True,
    choices: Choices = NO_CHOICES,
    image_size: int | None = None,
    validation_fraction: float = 0.1,
    test_fraction: float = TEST_FRACTION,
    zca: bool = False,
) -> ImageDataset:
    """Make a dataset of objects in memory, by the rules by which files are read.

    A split is one of

    - a ``datasets.Dataset``: which column is what is decided as in a table file; its format and its transforms play no
      part;
    - a dataset of PyTorch with a length, whose items are ``(image, label)``, such as torchvision's ``ImageFolder``; or
      a list of such items. Its ``classes``, if it has them, name the classes. An image is one of Pillow, a tensor
      (C, H, W) or (H, W), or an array (H, W, C) or (H, W). Items that hold images of Pillow are read more than once, so
      they must stay the same: no random transform;
    - a pair of images and labels. Images are a tensor (N, C, H, W) or (N, H, W), an array (N, H, W, C) or (N, H, W), or
      a sequence of single ones. Floating-point numbers (N, D) are vectors. Labels are numbers or names.

    Numbers other than bytes are scaled as those of files are: floats up to 1 are shares of white. Negative ones are
    refused: images must not be normalised.

    Args:
        train: the training split; or a mapping from the names of splits to splits, such as a ``datasets.DatasetDict``.
        validation: the validation split; None holds one out of the training images.
        test: the test split; None holds one out, unless there is a validation split.
        name: what the dataset is called in records.
        class_names: the names of classes that are numbers; by default what the objects say, or the numbers.
        flips: whether a mirrored image keeps its class.
        choices: which columns are what, and which splits of a mapping are used as what.
        image_size: as for :func:`load_dataset`.
        validation_fraction: likewise.
        test_fraction: likewise.
        zca: likewise.

    Raises:
        UserError: an object is none of these or its images or labels cannot be used, or an option is out of range.
    """
    _check(image_size, validation_fraction, test_fraction)
    if isinstance(train, Mapping):
        if validation is not None or test is not None:
            raise UserError(f"the first object of {name} already has splits", "add the other objects to it")
        splits = {str(split): data for split, data in train.items()}
    else:
        named = {"train": train, "validation": validation, "test": test}
        splits = {split: data for split, data in named.items() if data is not None}
    source = Objects(name, splits, None if class_names is None else tuple(class_names))
    raw = read_source(source, choices, image_size, None, Room())
    made = assemble(raw, name, None, HeldOut(test=test_fraction, validation=validation_fraction), zca=zca)
    return replace(made, flips=flips)


def _check(image_size: int | None, validation_fraction: float, test_fraction: float) -> None:
    """Refuse options that are out of range."""
    check_least("image_size", image_size, 1)
    for name, fraction in (("validation_fraction", validation_fraction), ("test_fraction", test_fraction)):
        if not 0 <= fraction < 1:
            raise UserError(f"`{name}={fraction}` is outside [0, 1)", "use 0.1, for example")


def find_source(spec: str, data_root: Path | None = None) -> tuple[Source, CatalogueEntry | None]:
    """The source from which a dataset is read, and its entry of the catalogue.

    Args:
        spec: as in :func:`load_dataset`.
        data_root: as in :func:`load_dataset`.

    Raises:
        UserError: there is no such dataset, folder or file.
    """
    if not spec.strip():
        raise UserError("the dataset has no name", "give a name, a folder or a file; see potstill list datasets")
    entry = CATALOGUE.get(spec)
    path = expanded(spec) if entry is None else _local_copy(entry, data_root)
    request = Request(spec, entry, path)
    for kind in SOURCES:
        if (source := kind.recognise(request)) is not None:
            return source, entry
    if request.path is not None and request.path.exists():
        raise unread(request.path)
    if os.sep in spec:
        raise UserError(f"dataset {spec} does not exist", "check the path")
    raise unknown("dataset", spec, CATALOGUE, listing="potstill list datasets")


def _namesake(entry: CatalogueEntry | None, data_root: Path | None) -> tuple[str, ...]:
    """One sentence if a folder in the working directory has the name of the catalogue dataset that is read."""
    if entry is None or not Path(entry.name).is_dir():
        return ()
    copy = _local_copy(entry, data_root)
    if copy is not None and copy.resolve() == Path(entry.name).resolve():
        return ()
    return (f"{entry.name} is the catalogue's dataset; the folder of that name here is ./{entry.name}",)


def _local_copy(entry: CatalogueEntry, data_root: Path | None) -> Path | None:
    """The folder of a catalogue dataset in the local data root, if there is one."""
    root = data_root if data_root is not None else data_root_of_environment()
    if root is None:
        return None
    if not root.is_dir():
        raise UserError(f"the local data root {root} is not a folder", "correct `data_root` or POTSTILL_DATA")
    return root / entry.name if (root / entry.name).is_dir() else None
