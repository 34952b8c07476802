"""The picture of a set, as the report has it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from potstill.report.figures import gallery_png
from potstill.report.images import ImageSet

if TYPE_CHECKING:
    from potstill.synthetic import SyntheticSet


def picture_of(synthetic: SyntheticSet, title: str) -> np.ndarray:
    """The images of a set by class, under a title, as one picture.

    Args:
        synthetic: the set, on the CPU.
        title: stands above the images.

    Returns:
        uint8 (H, W, 3).
    """
    images = ImageSet(
        pixels=synthetic.pixels().numpy(),
        labels=synthetic.hard_labels.numpy(),
        soft=synthetic.has_soft_labels,
        class_names=synthetic.class_names,
        formation=synthetic.formation,
    )
    with Image.open(io.BytesIO(gallery_png(images, title))) as picture:
        return np.asarray(picture.convert("RGB"))
