"""A set of images for display: read from safetensors, with normalisation undone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError

from potstill.runtime.errors import UserError
from potstill.runtime.files import sha256
from potstill.runtime.safetensors_io import read_safetensors, with_metadata
from potstill.runtime.text import visible

FORMAT, FORMED = "potstill.synthetic/1", "potstill.synthetic/2"
"""The formats of sets, without and with a formation."""


@dataclass(frozen=True)
class ImageSet:
    """Images with their classes.

    Attributes:
        pixels: float32 (N, C, H, W) in [0, 1].
        labels: int64 (N,), the class, or the most probable class.
        soft: whether the labels in the file are probabilities.
        class_names: the name of each class.
        step_size: the learned learning rate, if the method learned one.
        formation: 1, or f if each image holds f × f pictures, which networks are trained on.
        tensors_sha256: the SHA-256 of all tensors in the file, and of the formation if there is one.
    """

    pixels: np.ndarray
    labels: np.ndarray
    soft: bool
    class_names: tuple[str, ...]
    step_size: float | None = None
    formation: int = 1
    tensors_sha256: str = ""

    def __len__(self) -> int:
        return len(self.pixels)

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
    tensors, metadata = _read(file)
    if metadata.get("format") not in (FORMAT, FORMED):
        raise _unusable(file, f"its format is {metadata.get('format', 'not given')!r}, not {FORMAT!r}")
    try:
        images, labels = tensors["images"], tensors["labels"]
        names = tuple(str(name) for name in json.loads(metadata["class_names"]))
        mean, std = (np.asarray(json.loads(metadata[key]), dtype=np.float32) for key in ("mean", "std"))
        formation = int(metadata["formation"]) if metadata["format"] == FORMED else 1
    except (KeyError, TypeError, ValueError) as error:
        raise _unusable(file, f"it lacks or garbles {error}") from error
    for problem in _problems(images, labels, len(names), mean, std, tensors.get("step_size")):
        raise _unusable(file, problem)
    if metadata["format"] == FORMED and not 2 <= formation <= min(images.shape[2:]):
        raise _unusable(file, f"its formation {formation} does not suit images of shape {images.shape}")
    if "whitening.matrix" in tensors:
        images = _unwhiten(file, images, tensors)
    soft = labels.ndim == 2
    step = tensors.get("step_size")
    return ImageSet(
        pixels=np.clip(images * std[:, None, None] + mean[:, None, None], 0, 1).astype(np.float32),
        labels=(labels.argmax(axis=1) if soft else labels).astype(np.int64),
        soft=soft,
        class_names=names,
        step_size=None if step is None else float(step.item()),
        formation=formation,
        tensors_sha256=sha256(
            with_metadata(file.read_bytes(), {} if formation == 1 else {"formation": str(formation)})
        ),
    )


def _read(file: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    try:
        return read_safetensors(file, "np")
    except FileNotFoundError as error:
        raise UserError(f"{file} does not exist", "name a folder that potstill distill wrote") from error
    except (SafetensorError, OSError, TypeError) as error:
        raise _unusable(file, f"it is truncated or not safetensors ({error})") from error


def _problems(
    images: np.ndarray,
    labels: np.ndarray,
    classes: int,
    mean: np.ndarray,
    std: np.ndarray,
    step: np.ndarray | None,
) -> list[str]:
    """The parts that do not fit together, each as a short phrase."""
    if images.ndim != 4 or images.dtype != np.float32 or 0 in images.shape or not 1 <= images.shape[1] <= 4:
        return [f"images are {images.dtype} {images.shape}, not float32 (N, 1 to 4 channels, H, W)"]
    problems = []
    hard = labels.ndim == 1 and labels.dtype == np.int64
    soft = labels.ndim == 2 and labels.dtype == np.float32 and labels.shape[1] == classes
    if not (hard or soft) or len(labels) != len(images):
        problems.append(f"labels are {labels.dtype} {labels.shape} for {len(images)} images of {classes} classes")
    elif hard and not (labels.min() >= 0 and labels.max() < classes):
        problems.append(f"labels outside 0..{classes - 1}")
    if mean.shape != (images.shape[1],) or std.shape != mean.shape:
        problems.append(f"mean and std do not have {images.shape[1]} channels")
    if not np.isfinite(images).all():
        problems.append("images hold values that are not finite")
    if step is not None and not (step.size == 1 and np.isfinite(step).all() and (step > 0).all()):
        problems.append("the step size is not one positive number")
    return problems


def _unwhiten(file: Path, images: np.ndarray, tensors: dict[str, np.ndarray]) -> np.ndarray:
    """Undo ``whitened = (flat - mean) @ matrix.T``."""
    flat = images.reshape(len(images), -1).astype(np.float64)
    try:
        centred = np.linalg.solve(tensors["whitening.matrix"].astype(np.float64), flat.T).T
        return (centred + tensors["whitening.mean"]).astype(np.float32).reshape(images.shape)
    except (KeyError, ValueError, np.linalg.LinAlgError) as error:
        raise _unusable(file, "the whitening does not fit the images") from error


def _unusable(file: Path, problem: str) -> UserError:
    return UserError(f"{file} is not a usable synthetic set: {problem}", "distil it again with potstill distill")
