"""Augmentation of batches of images.

- ``siamese``: the differentiable operations of DSA, for matching and for training.
- ``cutmix``: CutMix, for training.

It imports ``runtime`` alone.
"""

from potstill.augmentation.cutmix import cutmix
from potstill.augmentation.siamese import (
    NO_AUGMENTATION,
    Draw,
    SiameseAugmentation,
    condensation_augmentation,
    siamese_augmentation,
)

__all__ = [
    "NO_AUGMENTATION",
    "Draw",
    "SiameseAugmentation",
    "condensation_augmentation",
    "cutmix",
    "siamese_augmentation",
]
