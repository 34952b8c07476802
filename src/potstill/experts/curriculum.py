"""PAD's curriculum: experts see easy images first, then all, then no longer the easiest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from potstill.data import LabeledImages
from potstill.experts.difficulty import Score, read_difficulty, write_difficulty
from potstill.experts.feature_source import EPOCHS, TrainedNetwork, Training

CURRICULUM = "curriculum.safetensors"
"""The file of the difficulty that a curriculum goes by: it comes from a network trained before there are experts."""

EASY_FIRST = 0.75
"""The share of each class, the easiest, that takes part at first."""
ALL_BY = 0.2
"""The share of the epochs by which all images take part; the hard ones come in on a straight line."""
DROPPED = ((0.6, 0.2), (0.4, 0.1))
"""From which share of the epochs on which share of each class, the easiest, takes part no longer."""


@dataclass(frozen=True)
class Curriculum:
    """Which images take part in each epoch, by how hard they are within their class.

    Li et al., "Prioritize Alignment in Dataset Distillation", 2024 (arXiv:2408.03360): of a hundred epochs the easiest
    three quarters of the images in the first, all of them from the twentieth on, without the easiest tenth from the
    fortieth and without the easiest fifth from the sixtieth. Shares are of each class's own number of images, where the
    released program counts on five thousand.

    Attributes:
        images: of which a share takes part.
        difficulty: (N,), the larger the harder.
        epochs: in all.
    """

    images: LabeledImages
    difficulty: Tensor
    epochs: int

    def shares(self, epoch: int) -> tuple[float, float]:
        """From which to which share of a class, ordered from easy to hard, takes part in an epoch, counted from 0."""
        done = epoch / self.epochs
        most = min(EASY_FIRST + (1 - EASY_FIRST) * done / ALL_BY, 1.0)
        least = next((share for since, share in DROPPED if done >= since), 0.0)
        return least, most

    def taking_part(self, epoch: int) -> Tensor:
        """int64 (n,): the indices of the images that take part in an epoch, at least one of each class."""
        least, most = self.shares(epoch)
        chosen = []
        for members in self.images.class_index:
            members = members.cpu()
            ordered = members[self.difficulty[members].argsort(stable=True)]
            first, last = int(least * len(ordered)), max(int(most * len(ordered) + 1e-9), 1)
            chosen.append(ordered[min(first, last - 1) : last])
        return torch.cat(chosen).sort().values


def curriculum_in(folder: Path, training: Training, by: Score, epochs: int) -> Curriculum:
    """The curriculum by the difficulty in a folder of experts, which is computed first if it is not there yet.

    Args:
        folder: of the experts.
        training: the images, and what it takes to train the network that tells easy images from hard ones.
        by: the score of difficulty.
        epochs: of the experts.
    """
    path = folder / CURRICULUM
    if not path.exists():
        training.progress(f"training a network of {EPOCHS} epochs that tells easy images from hard ones")
        write_difficulty(path, {by: TrainedNetwork(training).score(by)})
    return Curriculum(training.real, read_difficulty(path)[by], epochs)
