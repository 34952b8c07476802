"""A set of images for display: read from safetensors, with normalisation undone; of vectors, what is known of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from potstill.runtime.errors import UserError
from potstill.runtime.safetensors_io import UNREADABLE, read_safetensors
from potstill.runtime.text import visible
from potstill.schema.set_file import SetMetadata, set_sha256, unusable_set
from potstill.schema.shapes import is_vector, kind_of


@dataclass(frozen=True)
class ImageSet:
    """Images with their classes.

    Attributes:
        pixels: float32 (N, C, H, W) in [0, 1]; of vectors, their numbers, float32 (N, D, 1, 1).
        labels: int64 (N,), the class, or the most probable class.
        soft: whether the labels in the file are probabilities.
        class_names: the name of each class.
        step_size: the learned learning rate, if the method learned one.
        formation: 1, or f if each image holds f × f pictures, which networks are trained on.
        tensors_sha256: the SHA-256 of all tensors in the file, and of the formation if there is one.
        nbytes: the size of all tensors in the file.
        provenance: how the set was made, as far as its file says.
    """

    pixels: np.ndarray
    labels: np.ndarray
    soft: bool
    class_names: tuple[str, ...]
    step_size: float | None = None
    formation: int = 1
    tensors_sha256: str = ""
    nbytes: int = 0
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def kind(self) -> str:
        """What these are: ``image`` or ``vector``."""
        return kind_of(self.pixels.shape[1:])

    @property
    def pictures(self) -> int:
        """The number of pictures that networks are trained on: that of the images, unless there is a formation."""
        return len(self) * self.formation**2

    @property
    def titles(self) -> tuple[str, ...]:
        """The names of the classes, as they are shown."""
        return class_titles(self.class_names)

    @property
    def members(self) -> list[np.ndarray]:
        """The indices of the images of each class."""
        return [np.flatnonzero(self.labels == index) for index in range(len(self.class_names))]


def class_titles(names: Sequence[str]) -> tuple[str, ...]:
    """The names of classes, as they are shown: every character is visible, and no name is empty."""
    return tuple(visible(name).strip() or f"class {index}" for index, name in enumerate(names))


def read_images(file: Path) -> ImageSet:
    """Read a synthetic set for display.

    Raises:
        UserError: the file is absent, truncated, not safetensors, or its contents do not fit together.
    """
    metadata = SetMetadata.of_file(file)
    try:
        tensors, _ = read_safetensors(file, "np")
    except UNREADABLE as error:
        raise unusable_set(file, f"it cannot be read ({error})") from error
    images, labels, step = tensors["images"], tensors["labels"], tensors.get("step_size")
    for problem in _problems(images, labels, len(metadata.class_names), step):
        raise unusable_set(file, problem)
    if "whitening.matrix" in tensors:
        images = _unwhiten(file, images, tensors)
    mean, std = (np.array(values, dtype=np.float32)[:, None, None] for values in (metadata.mean, metadata.std))
    shown, soft = images * std + mean, labels.ndim == 2
    return ImageSet(
        pixels=(shown if is_vector(images.shape[1:]) else np.clip(shown, 0, 1)).astype(np.float32),
        labels=(labels.argmax(axis=1) if soft else labels).astype(np.int64),
        soft=soft,
        class_names=metadata.class_names,
        step_size=None if step is None else float(step.item()),
        formation=metadata.formation,
        tensors_sha256=set_sha256(tensors, metadata),
        nbytes=sum(tensor.nbytes for tensor in tensors.values()),
        provenance=metadata.provenance,
    )


def unchanged_images(file: Path, set_sha256: str) -> ImageSet | None:
    """A synthetic set for display, if the file still has the one of this SHA-256; None if it has not, or is gone."""
    try:
        images = read_images(file)
    except UserError:
        return None
    return images if images.tensors_sha256 == set_sha256 else None


def _problems(images: np.ndarray, labels: np.ndarray, classes: int, step: np.ndarray | None) -> Iterator[str]:
    """What is wrong with the values, each in a few words."""
    if not 1 <= images.shape[1] <= 4 and not is_vector(images.shape[1:]):
        yield f"images have {images.shape[1]} channels, not 1 to 4"
    if not np.isfinite(images).all():
        yield "images hold values that are not finite"
    if labels.ndim == 1 and not (labels.min() >= 0 and labels.max() < classes):
        yield f"labels outside 0..{classes - 1}"
    if step is not None and not (np.isfinite(step).all() and (step > 0).all()):
        yield "the step size is not one positive number"


def _unwhiten(file: Path, images: np.ndarray, tensors: dict[str, np.ndarray]) -> np.ndarray:
    """Undo ``whitened = (flat - mean) @ matrix.T``."""
    flat = images.reshape(len(images), -1).astype(np.float64)
    try:
        centred = np.linalg.solve(tensors["whitening.matrix"].astype(np.float64), flat.T).T
        return (centred + tensors["whitening.mean"]).astype(np.float32).reshape(images.shape)
    except (KeyError, ValueError, np.linalg.LinAlgError) as error:
        raise unusable_set(file, "the whitening does not fit the images") from error
