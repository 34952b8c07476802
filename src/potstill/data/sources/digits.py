"""The embedded default: scikit-learn's handwritten digits, real images that need no download."""

from __future__ import annotations

from typing import Self

import numpy as np

from potstill.data.choices import Choices
from potstill.data.found import Arrays, Found, Labels, Part
from potstill.data.sources.base import Request

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

    def find(self, choices: Choices) -> Found:
        """The digits in one piece."""
        from sklearn.datasets import load_digits  # takes more than a second, which only runs on digits should pay

        published, classes = load_digits(return_X_y=True)
        images = Arrays(np.reshape(published, (-1, 8, 8)), self.name, white=BRIGHTEST)
        whole = Part(images, Labels.of_numbers(classes, self.name), "scikit-learn's digits")
        return Found("an array of scikit-learn", self.name, (whole,))
