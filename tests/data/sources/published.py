"""Small datasets in the layouts in which the real ones are published."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import datasets
import numpy as np
from PIL import Image

from potstill.data import CATALOGUE


def noise(count: int, shape: tuple[int, ...] = (8, 8), seed: int = 0) -> np.ndarray:
    """uint8 (count, *shape)."""
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def encode(image: np.ndarray, format: str = "PNG") -> bytes:
    """An (H, W) or (H, W, C) array as an encoded file."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format)
    return stream.getvalue()


def write_images(folder: Path, images: np.ndarray, suffix: str = ".png") -> None:
    """One file per image, numbered in order."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number:04}{suffix}")


def write_table(path: Path, columns: Mapping[str, Sequence[object]], features: Mapping[str, object]) -> None:
    """A parquet file with the features of ``datasets`` in its metadata; image columns hold encoded bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_dict(dict(columns), datasets.Features(features)).to_parquet(path)


def write_parquet(path: Path, images: Sequence[bytes], labels: Sequence[int], names: Sequence[str]) -> None:
    """The usual table: ``image`` and ``label``."""
    write_table(
        path,
        {"image": [{"bytes": image, "path": None} for image in images], "label": labels},
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(names))},
    )


def catalogue_layout(folder: Path, name: str) -> dict[str, tuple[np.ndarray, list[int]]]:
    """A miniature of a catalogue dataset as the hub holds it: one image per class and split.

    Returns:
        By our split, (N, H, W[, C]) pixels and the labels.
    """
    entry = CATALOGUE[name]
    channels, height, width = entry.shape
    sides = (height, width) if channels == 1 else (height, width, channels)
    published = {"train": "train", "test": "test"}
    if name == "tiny-imagenet":
        published["test"] = "valid"
    if name in ("imagenette", "imagewoof", "imagenet-1k"):
        published["test"] = "validation"
    classes = [f"{name} {label}" for label in range(entry.classes)]
    images, features = entry.image_column, {}
    features[images] = datasets.Image()
    features[entry.label_column] = datasets.ClassLabel(names=classes)
    columns: dict[str, list[object]] = {}
    if name == "cifar100":
        features["coarse_label"] = datasets.ClassLabel(names=["animal", "plant"])
        columns["coarse_label"] = [label % 2 for label in range(entry.classes)]
    written = {}
    subfolder = {"cifar10": "plain_text", "cifar100": "cifar100", "svhn": "cropped_digits", "mnist": "mnist"}
    target = folder / subfolder.get(name, "data")
    for seed, (split, hub_split) in enumerate(published.items()):
        pixels = noise(entry.classes, sides, seed)
        labels = list(range(entry.classes))[::-1]
        columns[images] = [{"bytes": encode(image), "path": None} for image in pixels]
        columns[entry.label_column] = list(labels)
        write_table(target / f"{hub_split}-00000-of-00001.parquet", columns, features)
        written[split] = pixels, labels
    if name == "svhn":  # the hub also holds whole photographs and a third split
        write_table(target / "extra-00000-of-00001.parquet", columns, features)
        write_table(folder / "full_numbers" / "train-00000-of-00001.parquet", {"digits": [0]}, {"digits": INTEGER})
    if name == "imagenet-1k":  # its test split has no labels
        columns[entry.label_column] = [-1] * entry.classes
        write_table(target / "test-00000-of-00001.parquet", columns, features)
    return written


INTEGER = datasets.Value("int64")
