"""A session: the dataset, device, seed and initial weights that an evaluation's trainings share."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from potstill.data import ImageDataset
from potstill.evaluation.training import Trainings
from potstill.runtime.compute import AUTOMATIC, Compute, ComputeChoice
from potstill.runtime.errors import UserError
from potstill.runtime.progress import Progress, silent
from potstill.runtime.streams import Streams

LONG_WORK_PIXELS = 100_000_000
"""Pixels that trainings must process for compilation and low precision to pay off: about two minutes on two cores."""


@dataclass(frozen=True)
class Session:
    """Where and how sets are evaluated.

    Attributes:
        dataset: what the sets were distilled from; it provides the baselines, the validation and the test split.
        compute: device, precision and compilation; what is ``auto`` is settled by the amount of work.
        seed: two sessions with one seed train from the same initial weights.
        initial: what networks start from: ``random`` weights, or a directory or file written by ``potstill experts``.
            The recipe ``replay`` uses the initial weights that a set was distilled for instead.
        progress: called with a short message after every training, and now and then during long ones.
    """

    dataset: ImageDataset
    _: KW_ONLY
    compute: Compute | ComputeChoice = AUTOMATIC
    seed: int = 0
    initial: str = "random"
    progress: Progress = silent

    @classmethod
    def of(cls, data: ImageDataset | Session) -> Session:
        """``data`` itself if it is a session, else a session with that dataset and every default."""
        return data if isinstance(data, Session) else cls(data)

    def settled(self, images: int | None = None) -> Compute:
        """The device, precision and compilation that suit an amount of work.

        Args:
            images: how many images trainings process in all, epochs counted; None for work that is long in any case.
        """
        if isinstance(self.compute, Compute):
            return self.compute
        pixels = math.inf if images is None else images * math.prod(self.dataset.shape[1:])
        return self.compute.settled(long_run=pixels >= LONG_WORK_PIXELS)

    def trainings(self, compute: Compute, purpose: str = "evaluation") -> Trainings:
        """Trainings with ``compute``, whose randomness depends on the seed and the purpose alone."""
        streams = Streams(self.seed).child(purpose)
        return Trainings(self.dataset.to(compute.device), compute, streams, self.progress)


@dataclass(frozen=True, kw_only=True)
class FullTraining:
    """How networks are trained on the full data, for comparison.

    Attributes:
        repeats: trainings of each network, at least one; they are the expensive ones.
        epochs: passes over the full data; None uses the recipe's number, or the number of the results on record.

    Raises:
        UserError: there would be no training, or no epoch.
    """

    repeats: int = 1
    epochs: int | None = None

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise UserError("there must be at least one repeat", "use --full-repeats 1 or more")
        if self.epochs is not None and self.epochs < 1:
            raise UserError(f"--full-epochs {self.epochs} is too small", "use --full-epochs 1 or more")


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What work that loads datasets itself may use.

    Attributes:
        compute: device, precision and compilation.
        data_root: a directory with local copies of catalogue datasets; None uses ``POTSTILL_DATA``.
        progress: called with a short message now and then.
    """

    compute: ComputeChoice = AUTOMATIC
    data_root: Path | None = None
    progress: Progress = silent
