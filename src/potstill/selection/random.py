"""Random images of each class: the baseline that every other choice has to beat."""

from __future__ import annotations

import torch
from torch import Tensor

from potstill.data import LabeledImages
from potstill.runtime.errors import UserError


def random_indices(real: LabeledImages, images_per_class: int, generator: torch.Generator) -> Tensor:
    """Different images of each class, drawn at random.

    Args:
        real: the images to choose from.
        images_per_class: how many of each class.
        generator: a CPU generator.

    Returns:
        int64 (classes * images_per_class,), ordered by class.

    Raises:
        UserError: a class has fewer images than that.
    """
    check_enough(real, images_per_class)
    return real.sample_per_class(images_per_class, generator).flatten()


def check_enough(real: LabeledImages, images_per_class: int) -> None:
    """Make sure that every class has that many images.

    Raises:
        UserError: one has fewer: which.
    """
    for name, size in zip(real.class_names, real.class_sizes, strict=True):
        if size < images_per_class:
            raise UserError(
                f"class {name!r} has {size} images, fewer than {images_per_class} per class",
                f"use --ipc {size} or less, or --start noise",
            )
