"""Schedules: how a network is trained, as one value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from potstill.augmentation import SiameseAugmentation
from potstill.networks import RANDOM_WEIGHTS, InitialWeights
from potstill.schema.recipe import Decay, Optimiser


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How a network is trained.

    Attributes:
        epochs: the number of passes over the images.
        batch_size: the number of images per step; the last batch of an epoch may be smaller.
        optimiser: SGD, or AdamW with its default betas.
        learning_rate: the initial learning rate.
        momentum: the momentum of SGD.
        weight_decay: the weight decay of either optimiser.
        decay: how the learning rate decays: ``none``; a single ``cut`` to a tenth, at which the optimiser is reset and
            its momentum forgotten, as in the published programs; ``two-cuts`` to a fifth, after two thirds and after
            five sixths of the epochs; ``halvings`` after each fifth; or half a ``cosine`` to zero.
        augmentation: applied with parameters drawn for each image; None applies none.
        one_operation: whether the images of a batch share the operation, as in published training with Siamese
            augmentation.
        cutmix: whether boxes are exchanged between the images of a batch.
        cutmix_probability: of doing so to a batch.
        ema_decay: the decay of an exponential moving average of the weights, which replaces them after the last epoch;
            0 keeps the weights.
        gsam_rho: the radius rho of GSAM: the length of the step uphill before the gradient is taken, for flatter
            minima; 0 is plain descent.
        initial: the distribution of the initial weights.
    """

    epochs: int
    batch_size: int = 256
    optimiser: Optimiser = "sgd"
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    decay: Decay = "cut"
    augmentation: SiameseAugmentation | None = None
    one_operation: bool = True
    cutmix: bool = False
    cutmix_probability: float = 1.0
    ema_decay: float = 0.0
    gsam_rho: float = 0.0
    initial: InitialWeights = RANDOM_WEIGHTS

    @property
    def cut_epoch(self) -> int:
        """The first epoch, from 0, with the cut rate: just after the middle."""
        return self.epochs // 2 + 1

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0."""
        match self.decay:
            case "none":
                return self.learning_rate
            case "cut":
                return self.learning_rate * (0.1 if epoch >= self.cut_epoch else 1)
            case "two-cuts":
                return self.learning_rate * 0.2 ** self._passed(epoch, (4, 5), 6)
            case "halvings":
                return self.learning_rate * 0.5 ** self._passed(epoch, (1, 2, 3, 4), 5)
            case "cosine":
                return self.learning_rate * (1 + math.cos(math.pi * epoch / self.epochs)) / 2

    def _passed(self, epoch: int, parts: Sequence[int], of: int) -> int:
        """How many of these parts of the training are over before an epoch.

        They end after whole epochs, rounded down as in the published programs. A training of fewer epochs than parts
        is not rounded: it would begin with the rate of the end.
        """
        if self.epochs < of:
            return sum(of * epoch >= part * self.epochs for part in parts)
        return sum(epoch >= part * self.epochs // of for part in parts)
