"""Augmentation: differentiable Siamese operations for matching and training, and CutMix."""

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
