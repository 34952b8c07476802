"""PAD's curriculum: experts are trained on easy images first, then on all, then on all but the easiest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from potstill.data import LabeledImages
from potstill.experts.difficulty import read_difficulty, write_difficulty
from potstill.experts.feature_source import EPOCHS, TrainedNetworkSource, Training
from potstill.experts.plan import Score
from potstill.runtime.errors import UserError

CURRICULUM = "curriculum.safetensors"
"""File of the difficulty scores that order a curriculum; they come from a network trained before the experts."""

EASY_FIRST = 0.75
"""Initial fraction of each class that is used, the easiest images first."""
ALL_BY = 0.2
"""Fraction of the epochs after which all images are used; hard ones are added linearly until then."""
DROPPED = ((0.6, 0.2), (0.4, 0.1))
"""Pairs of a fraction of the epochs and the fraction of each class, the easiest images, dropped from then on."""


@dataclass(frozen=True)
class Curriculum:
    """The images used in each epoch, by their difficulty within their class.

    Li et al., "Prioritize Alignment in Dataset Distillation", 2024 (arXiv:2408.03360). Of a hundred epochs, the first
    uses the easiest three quarters of the images; from the 20th on all are used, from the 40th on all but the easiest
    tenth, and from the 60th on all but the easiest fifth. Fractions refer to the number of images of each class; the
    released program assumes five thousand.

    Attributes:
        images: the N training images.
        difficulty: (N,), larger values are harder.
        epochs: total number of epochs.
    """

    images: LabeledImages
    difficulty: Tensor
    epochs: int

    def shares(self, epoch: int) -> tuple[float, float]:
        """The range, as fractions of a class ordered from easy to hard, used in ``epoch``, counted from 0."""
        done = epoch / self.epochs
        most = min(EASY_FIRST + (1 - EASY_FIRST) * done / ALL_BY, 1.0)
        least = next((share for since, share in DROPPED if done >= since), 0.0)
        return least, most

    def taking_part(self, epoch: int) -> Tensor:
        """int64 (n,): the indices of the images used in ``epoch``, at least one of each class."""
        least, most = self.shares(epoch)
        chosen = []
        for members in self.images.class_index:
            members = members.cpu()
            ordered = members[self.difficulty[members].argsort(stable=True)]
            first, last = int(least * len(ordered)), max(int(most * len(ordered) + 1e-9), 1)
            chosen.append(ordered[min(first, last - 1) : last])
        return torch.cat(chosen).sort().values


def curriculum_in(folder: Path, training: Training, by: Score, epochs: int) -> Curriculum:
    """The curriculum for a folder of experts; difficulty scores are computed and stored there if they are missing.

    Args:
        folder: folder of the experts.
        training: the images, and everything needed to train the network that scores their difficulty.
        by: name of the difficulty score.
        epochs: number of epochs of the experts.

    Raises:
        UserError: the stored scores are damaged, of another dataset, or of another kind.
    """
    path = folder / CURRICULUM
    if not path.exists():
        training.progress(f"training a network for {EPOCHS} epochs to score the difficulty of images")
        write_difficulty(path, {by: TrainedNetworkSource(training).score(by)})
    scores = read_difficulty(path, len(training.real))
    if by not in scores:
        raise UserError(f"{path} has no score {by!r}", "remove it, or name the score that it has with `curriculum_by`")
    return Curriculum(training.real, scores[by], epochs)
