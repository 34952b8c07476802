"""Datasets as users have them, each loaded by its path."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from potstill.data import load_dataset
from tests.data.sources.published import encode, noise, write_images, write_parquet
from tests.fuzz.campaign import Kind
from tests.fuzz.mutations import Structure

LABELS = np.repeat(np.arange(3), 6)


def _npz(folder: Path) -> Path:
    images, labels = noise(18), LABELS[:, None]
    np.savez_compressed(
        folder / "set.npz", train_images=images, train_labels=labels, test_images=images, test_labels=labels
    )
    return folder / "set.npz"


def _parquet(folder: Path) -> Path:
    images = [encode(image) for image in noise(18)]
    write_parquet(folder / "train.parquet", images, LABELS.tolist(), "abc")
    return folder / "train.parquet"


def _images(folder: Path, suffix: str) -> Path:
    for name in "abc":
        write_images(folder / name, noise(5), suffix)
    return folder / "b" / f"0002{suffix}"


def _loaded(
    name: str, structure: Structure, make: Callable[[Path], Path], path: str = "", *, dear: bool = False
) -> Kind:
    """A dataset that is loaded without the cache.

    Args:
        name: what it is called.
        structure: what the mutated file is made of.
        make: writes the dataset.
        path: what a user names, from the folder that ``make`` writes to.
        dear: whether loading it takes more than some milliseconds.
    """

    def use(folder: Path) -> None:
        load_dataset(str(folder / path), cache=None)

    return Kind(name, structure, make, use, dear)


def _make_cache(folder: Path) -> Path:
    _images(folder / "set", ".png")
    load_dataset(str(folder / "set"), cache=folder / "cache")
    return next((folder / "cache").iterdir())


def _use_cache(folder: Path) -> None:
    """A damaged copy is never an error, and never changes what is loaded."""
    copied = load_dataset(str(folder / "set"), cache=folder / "cache")
    decoded = load_dataset(str(folder / "set"), cache=None)
    if copied.fingerprint != decoded.fingerprint or not torch.equal(copied.train.images, decoded.train.images):
        raise AssertionError("a damaged copy was taken for the dataset")


KINDS = [
    _loaded("parquet", "bytes", _parquet, dear=True),
    *(_loaded(f"image in a class folder, {s}", "bytes", partial(_images, suffix=s)) for s in (".png", ".jpg", ".bmp")),
    Kind("copy of decoded images", "safetensors", _make_cache, _use_cache),
]
"""Every format of datasets. A new one is one entry: what writes it, and what a user names."""
