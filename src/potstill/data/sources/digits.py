"""The embedded default: scikit-learn's handwritten digits, real images that need no download."""

from __future__ import annotations

from typing import Self

import numpy as np
import torch

from potstill.data.decode import resize_arrays
from potstill.data.sources.base import RawDataset, Request, Split, class_labels

BRIGHTEST = 16  # a published pixel counts the inked points of a 4×4 block


class Digits:
    """1,797 digits of 8×8 pixels in one piece, from which the same test split is always held out."""

    name = "digits"

    @classmethod
    def recognise(cls, request: Request) -> Self | None:
        """``digits``, unless there is a local copy."""
        return cls() if request.spec == cls.name and request.path is None else None

    def signature(self) -> None:
        """None: loading them again is as fast as a cache."""

    def read(self, image_size: int | None, channels: int | None) -> RawDataset:
        """The digits as one training split.

        Args:
            image_size: the side in pixels to resize them to, if any.
            channels: ignored.
        """
        from sklearn.datasets import load_digits  # takes more than a second, which only runs on digits should pay

        published, classes = load_digits(return_X_y=True)
        images = np.rint(np.reshape(published, (-1, 1, 8, 8)) * (255 / BRIGHTEST)).astype(np.uint8)
        if image_size is not None:
            images = resize_arrays(images, image_size)
        whole = Split(torch.from_numpy(images), class_labels(classes, self.name))
        return RawDataset(splits={"train": whole}, class_names=tuple("0123456789"))
