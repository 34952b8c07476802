"""CIFAR-10 and CIFAR-100, in the version for Python, which is not unpickled, and in the binary version.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. An image is 3,072 bytes: the red, green and
blue planes of 32×32 pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from potstill.data.formats.pickles import read_plain_pickle
from potstill.data.found import Arrays, Labels, Part
from potstill.data.sources.published.layout import REMEDY, Files, Layout, Pieces, read_names, read_within
from potstill.runtime.errors import UserError

SHAPE = (3, 32, 32)
PLANES = 3 * 32 * 32
LARGEST = 2**28  # bytes; the largest file has 155 million


def _read_python(files: Files) -> Pieces:
    names = files.class_names
    parts = []
    for path in files.paths:
        content = read_plain_pickle(path)
        if not isinstance(content, dict):
            raise UserError(f"{path} holds a {type(content).__name__}, not a batch", REMEDY)
        batch = {key.decode("latin-1") if isinstance(key, bytes) else key: value for key, value in content.items()}
        if path.name in ("batches.meta", "meta"):
            names = _names(batch.get("label_names", batch.get("fine_label_names")), path)
        else:
            parts.append((path, _pixels(batch.get("data"), path), batch.get("labels", batch.get("fine_labels"))))
    return Pieces(
        tuple(_part(path, pixels, labels, names) for path, pixels, labels in parts), remarks=_remarks(files.paths)
    )


def _read_binary(files: Files) -> Pieces:
    texts = [path for path in files.paths if path.suffix == ".txt" and not path.name.startswith("coarse")]
    names = read_names(texts[0]) if texts else files.class_names
    parts = []
    for path in files.paths:
        if path.suffix != ".bin":
            continue
        labels = 2 if path.name in ("train.bin", "test.bin") else 1  # CIFAR-100: the coarse label, then the fine one
        content = np.frombuffer(read_within(path, LARGEST), np.uint8)
        if len(content) % (labels + PLANES):
            raise UserError(f"{path} is truncated: {len(content):,} bytes are not a whole number of images", REMEDY)
        rows = content.reshape(-1, labels + PLANES)
        parts.append(_part(path, rows[:, labels:], rows[:, labels - 1], names))
    return Pieces(tuple(parts), remarks=_remarks(files.paths))


def _part(path: Path, pixels: np.ndarray, labels: Any, names: tuple[str, ...] | None) -> Part:
    images = pixels.reshape(-1, *SHAPE).transpose(0, 2, 3, 1)
    split = "test" if path.name.startswith("test") else "train"
    return Part(Arrays(images, str(path)), Labels.of_numbers(_integers(labels), str(path), names), path.name, (split,))


def _pixels(data: Any, path: Path) -> np.ndarray:
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != PLANES:
        raise UserError(f"{path} has no images of {PLANES:,} bytes", REMEDY)
    return data


def _integers(labels: Any) -> np.ndarray:
    """Labels as an array; anything but a list of small integers becomes one that is refused."""
    if isinstance(labels, list) and all(type(label) is int and 0 <= label < 2**16 for label in labels):
        return np.array(labels, np.int64)
    return labels if isinstance(labels, np.ndarray) else np.empty(0, np.float64)


def _names(names: Any, path: Path) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str | bytes) for name in names):
        raise UserError(f"{path} has no class names", REMEDY)
    return tuple(name.decode("latin-1") if isinstance(name, bytes) else name for name in names)


def _remarks(files: Sequence[Path]) -> tuple[str, ...]:
    batches = sum(path.name.startswith("data_batch") for path in files)
    return (f"{batches} of 5 training batches are present",) if 0 < batches < 5 else ()


def _layout(words: str, names: str, needed: tuple[str, ...], folder: str) -> Layout:
    return Layout(words, names, needed, (folder,), _read_binary if "binary" in words else _read_python)


CIFAR_PYTHON = _layout(
    "batches of CIFAR-10 for Python, not unpickled",
    r"data_batch_[1-5]|test_batch|batches\.meta",
    (r"data_batch_.", r"test_batch", r"batches\.meta"),
    "cifar-10-batches-py",
)
CIFAR_BINARY = _layout(
    "binary batches of CIFAR-10",
    r"data_batch_[1-5]\.bin|test_batch\.bin|batches\.meta\.txt",
    (r"data_batch_.\.bin", r"test_batch\.bin", r"batches\.meta\.txt"),
    "cifar-10-batches-bin",
)
CIFAR100_PYTHON = _layout(
    "files of CIFAR-100 for Python, not unpickled", r"train|test|meta", (r"train", r"test", r"meta"), "cifar-100-python"
)
CIFAR100_BINARY = _layout(
    "binary files of CIFAR-100",
    r"(train|test)\.bin|(coarse|fine)_label_names\.txt",
    (r"train\.bin", r"test\.bin", r"fine_label_names\.txt"),
    "cifar-100-binary",
)
