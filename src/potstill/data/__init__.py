"""Labelled image datasets: which are known by name, how they are loaded, and how they are kept in memory.

- ``catalogue``: the datasets that are known by name.
- ``load``: :func:`load_dataset`, from a name or path to the dataset; ``sources`` has one file per kind of source.
- ``decode``, ``cache``: from encoded images to bytes, once.
- ``splits``, ``assembly``: from what a source gave to a dataset with three splits.
- ``dataset``, ``labeled_images``, ``whitening``: what is kept in memory, and how networks see it.

It imports ``runtime`` alone.
"""

from __future__ import annotations

from potstill.data.catalogue import CATALOGUE, CatalogueEntry
from potstill.data.dataset import ImageDataset
from potstill.data.labeled_images import Examples, LabeledImages
from potstill.data.load import load_dataset, short_name
from potstill.data.splits import stratified_split
from potstill.data.whitening import Whitening, fit_whitening

__all__ = [
    "CATALOGUE",
    "CatalogueEntry",
    "Examples",
    "ImageDataset",
    "LabeledImages",
    "Whitening",
    "fit_whitening",
    "load_dataset",
    "short_name",
    "stratified_split",
]
