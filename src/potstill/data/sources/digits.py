"""The embedded default: scikit-learn's handwritten digits, real images that need no download."""

from __future__ import annotations

import numpy as np
import torch

from potstill.data.decode import resize_arrays
from potstill.data.sources.base import RawDataset, Split, class_labels

BRIGHTEST = 16  # the published images count inked pixels of a 4×4 block


class Digits:
    """1,797 digits of 8×8 pixels in one piece: the test split is held out of them, always the same."""

    name = "digits"

    def signature(self) -> None:
        """None: reading them anew is as fast as a cache."""

    def read(self, image_size: int | None, channels: int | None) -> RawDataset:
        """The digits as :class:`RawDataset`."""
        from sklearn.datasets import load_digits  # takes more than a second, which not every run need wait

        published, classes = load_digits(return_X_y=True)
        images = np.rint(np.reshape(published, (-1, 1, 8, 8)) * (255 / BRIGHTEST)).astype(np.uint8)
        if image_size is not None:
            images = resize_arrays(images, image_size)
        whole = Split(torch.from_numpy(images), class_labels(classes, self.name))
        return RawDataset(splits={"train": whole}, class_names=tuple("0123456789"))
