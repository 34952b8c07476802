"""Labelled image datasets: which are known by name, how they are loaded, and how they are kept in memory.

- ``catalogue``: the datasets that are known by name.
- ``load``: :func:`load_dataset`, from a name or path to the dataset.
- ``sources``: one file per kind of source; each returns what it finds (``found``) as it was published.
- ``understanding``, ``split_names``, ``class_labels``: the one place that decides what that means, or refuses it.
  ``choices`` are the user's where it could mean several things.
- ``reading``, ``decode``, ``cache``: from encoded images to bytes (``raw``), once.
- ``splits``, ``assembly``: to a dataset with three splits.
- ``dataset``, ``labeled_images``, ``whitening``: what is kept in memory, and how networks see it.

It imports ``schema`` and ``runtime`` alone.
"""

from __future__ import annotations

from potstill.data.catalogue import CATALOGUE, CatalogueEntry
from potstill.data.choices import NO_CHOICES, Choices
from potstill.data.dataset import ImageDataset
from potstill.data.labeled_images import Examples, LabeledImages
from potstill.data.load import load_dataset, short_name
from potstill.data.splits import stratified_split
from potstill.data.whitening import Whitening, fit_whitening

__all__ = [
    "CATALOGUE",
    "NO_CHOICES",
    "CatalogueEntry",
    "Choices",
    "Examples",
    "ImageDataset",
    "LabeledImages",
    "Whitening",
    "fit_whitening",
    "load_dataset",
    "short_name",
    "stratified_split",
]
