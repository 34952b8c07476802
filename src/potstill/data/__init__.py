"""Labelled image datasets: a catalogue of known ones, loading from anywhere, and what is kept in memory."""

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
