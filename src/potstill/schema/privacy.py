"""What a private distillation guarantees, and what the guarantee rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from potstill.schema import Record
from potstill.schema.fields import Amount, Fraction, Positive, Range

Open = Annotated[float, Range("a number above 0", 5e-324)]
"""A number above 0."""

STATISTICS = "the mean and standard deviation of each channel, computed from the training images"
CONSTANTS = "the mean and standard deviation of each channel, constants of the catalogue"
"""How ``Privacy.public`` names the statistics of pixels."""


@dataclass(frozen=True, kw_only=True)
class Privacy(Record):
    """An (epsilon, delta) guarantee of differential privacy for the training images.

    Attributes:
        epsilon: computed from the noise that was really added; at most what was asked for.
        delta: of the guarantee.
        neighbouring: how two datasets differ that the guarantee makes hard to tell apart.
        sampling: how each query draws its images.
        sampling_rate: the probability with which a query includes an image, the largest of all classes.
        clip: the largest norm that one image contributes to a query.
        noise_multiplier: the standard deviation of the noise, divided by ``clip``.
        queries: the number of noisy sums that one image can contribute to.
        accountant: what computed ``epsilon``, and its version.
        public: what is taken for known, and is not protected.
    """

    epsilon: Open
    delta: Fraction
    neighbouring: Literal["add or remove one image"] = "add or remove one image"
    sampling: Literal["Poisson"] = "Poisson"
    sampling_rate: Fraction
    clip: Open
    noise_multiplier: Amount
    queries: Positive
    accountant: str
    public: tuple[str, ...]

    @property
    def title(self) -> str:
        """The guarantee in a phrase, which never lacks its neighbouring relation."""
        what = self.neighbouring.replace("add", "adding").replace("remove", "removing")
        return f"({self.epsilon}, {self.delta:g})-differentially private with respect to {what} of the training set"
