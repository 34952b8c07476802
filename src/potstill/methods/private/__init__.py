"""Private methods: what they read of the real images is noised, so that the set gives away little about any one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from potstill.methods.base import Method, Start
from potstill.privacy import accountant, calibrated, rounded_up, spent
from potstill.runtime.bounds import positive
from potstill.runtime.errors import UserError
from potstill.schema.privacy import CONSTANTS, STATISTICS, Privacy


@dataclass(frozen=True, kw_only=True)
class PrivateMethod(Method):
    """A method whose set is (epsilon, delta)-differentially private for the training images.

    It reads real images only for queries of the subsampled Gaussian mechanism: each includes every image independently
    with a small probability, sums vectors of bounded norm, and adds normal noise. Noise and choice are drawn from the
    operating system's entropy, so that two runs with one seed differ.

    Attributes:
        epsilon: the largest epsilon of the guarantee.
        delta: delta of the guarantee; less than one over the number of training images.
        clip: largest norm that one image contributes to a query.
        public_statistics: declare public the mean and standard deviation of each channel, where they are computed from
            the training images rather than constants of the catalogue.
    """

    default_start: ClassVar[Start] = "noise"

    epsilon: float = 1.0
    delta: float = 1e-5
    clip: float = 1.0
    public_statistics: bool = False

    def __post_init__(self) -> None:
        positive(self, "epsilon", "delta", "clip")

    @property
    @abstractmethod
    def query_count(self) -> int:
        """The number of queries that an image can contribute to."""

    @abstractmethod
    def sampling_rates(self, class_sizes: Sequence[int]) -> list[float]:
        """The probability with which a query includes an image of each class."""

    def privacy(self, class_sizes: Sequence[int], iterations: int) -> Privacy:
        """The guarantee, with the noise that it needs.

        Raises:
            UserError: delta is too large for the number of images, a class is too small, or the accountant is missing.
            RuntimeError: the accountant contradicts itself.
        """
        images = sum(class_sizes)
        if self.delta * images >= 1:
            raise UserError(
                f"`delta={self.delta:g}` is not below 1/{images:,}, one over the number of training images: a set that "
                "gives whole images away could pass",
                f"use `delta={_below(1 / images):g}` or less",
            )
        rate = max(self.sampling_rates(class_sizes))
        mechanism = calibrated(self.epsilon, self.delta, rate, self.query_count)
        if (used := spent(mechanism, self.delta)) > self.epsilon:
            raise RuntimeError(f"the noise for epsilon {self.epsilon} spends {used} by {accountant()}")
        statistics = STATISTICS if self.public_statistics else CONSTANTS
        return Privacy(
            epsilon=min(rounded_up(used), self.epsilon),  # what was promised may have more digits
            delta=self.delta,
            sampling_rate=rate,
            clip=self.clip,
            noise_multiplier=mechanism.noise_multiplier,
            queries=mechanism.queries,
            accountant=accountant(),
            public=("the labels", "the number of images of each class", "the size of the images", statistics),
        )


def _below(value: float) -> float:
    """The largest power of ten below ``value``, to suggest."""
    exponent = len(f"{1 / value:.0f}")
    return 10.0**-exponent
