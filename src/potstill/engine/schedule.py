"""Schedules: how a network is trained, as one value."""

from __future__ import annotations

import math
from dataclasses import dataclass

from potstill.augmentation import SiameseAugmentation
from potstill.networks import RANDOM_WEIGHTS, InitialWeights
from potstill.schema.recipe import Decay, Optimiser


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How a network is trained.

    Attributes:
        epochs: passes over the images.
        batch_size: images a step; the last batch of an epoch may be smaller.
        optimiser: SGD, or AdamW with its usual betas.
        learning_rate: at first.
        momentum: of SGD.
        weight_decay: of either.
        decay: how the learning rate falls: not at all; by a ``cut`` to a tenth once, after which the optimiser begins
            anew and the momentum is forgotten, as in the published programs; or as half a ``cosine`` to nothing.
        augmentation: its parameters are an image's own.
        one_operation: the images of a batch share the operation, as in published training with Siamese augmentation.
        cutmix: whether boxes of images are exchanged within a batch.
        ema_decay: the share that an exponential average of the weights keeps at each step; the average is tested in
            place of the weights. 0 tests the weights.
        gsam_rho: rho of GSAM: how far uphill the weights are moved before the gradient is taken with which they then
            descend, for flatter minima; 0 for plain descent.
        initial: what the network begins with.
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
    ema_decay: float = 0.0
    gsam_rho: float = 0.0
    initial: InitialWeights = RANDOM_WEIGHTS

    @property
    def cut_epoch(self) -> int:
        """The epoch (from 0) before which the rate is cut: just after the middle."""
        return self.epochs // 2 + 1

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0."""
        match self.decay:
            case "none":
                return self.learning_rate
            case "cut":
                return self.learning_rate * (0.1 if epoch >= self.cut_epoch else 1)
            case "cosine":
                return self.learning_rate * (1 + math.cos(math.pi * epoch / self.epochs)) / 2
