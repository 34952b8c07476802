"""The embedded default: scikit-learn's handwritten digits, real images that need no download."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
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
        published, classes = read_digits()
        images = Arrays(np.reshape(published, (-1, 8, 8)), self.name, white=BRIGHTEST)
        whole = Part(images, Labels.of_numbers(classes, self.name), "scikit-learn's digits")
        return Found("an array of scikit-learn", self.name, (whole,))


def read_digits() -> tuple[np.ndarray, np.ndarray]:
    """The pixels (n, 64) and classes (n,) of ``sklearn.datasets.load_digits``, from its file.

    To import scikit-learn takes a second, so only if it keeps the file elsewhere does it read it itself.
    """
    spec = find_spec("sklearn")
    for folder in (spec and spec.submodule_search_locations) or ():
        file = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if file.is_file():
            table = np.loadtxt(file, delimiter=",")
            return table[:, :-1], table[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits

    published, classes = load_digits(return_X_y=True)
    return np.asarray(published), np.asarray(classes)
