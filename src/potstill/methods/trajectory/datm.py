"""DATM: trajectory matching at a difficulty that suits the size of the set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from potstill.methods.citations import Citation
from potstill.methods.trajectory import nearest
from potstill.methods.trajectory.aligned import AlignedMatching, AlignedPreset

DATM_PRESETS: Mapping[str, Mapping[int, AlignedPreset]] = {
    "digits": {
        1: AlignedPreset(20, 2, 10, 30.0, 2.0, 0, 5, 500),
        10: AlignedPreset(20, 2, 10, 100.0, 2.0, 0, 5, 500),
    },
    "mnist": {
        1: AlignedPreset(20, 3, 2, 300.0, 2.0, 0, 2, 1, initial_rate=0.02),
        10: AlignedPreset(20, 3, 2, 300.0, 2.0, 0, 2, 1, initial_rate=0.02, student_batch=25),
    },
    "cifar10": {
        1: AlignedPreset(80, 2, 4, 100.0, 5.0, 0, 4, 1, rate_learning_rate=1e-7, loss_threshold=1.1),
        10: AlignedPreset(80, 2, 20, 100.0, 2.0, 0, 10, 1000),
        50: AlignedPreset(80, 2, 40, 1000.0, 2.0, 0, 20, 2000),
        500: AlignedPreset(40, 2, 60, 50.0, 10.0, 40, 60, 1, student_batch=1000),
        1000: AlignedPreset(100, 2, 60, 50.0, 10.0, 40, 60, 1, student_batch=1000),
    },
    "cifar100": {
        1: AlignedPreset(40, 3, 20, 1000.0, 10.0, 0, 10, 1000),
        10: AlignedPreset(80, 2, 50, 1000.0, 10.0, 0, 30, 2000),
        50: AlignedPreset(80, 2, 70, 1000.0, 10.0, 20, 70, 1, student_batch=1000),
        100: AlignedPreset(80, 2, 70, 50.0, 10.0, 30, 70, 1, student_batch=1000),
    },
    "tiny-imagenet": {
        1: AlignedPreset(40, 2, 20, 1e4, 10.0, 0, 15, 2000, rate_learning_rate=1e-4),
        10: AlignedPreset(40, 2, 50, 100.0, 10.0, 10, 50, 1, student_batch=500),
        50: AlignedPreset(20, 2, 70, 100.0, 10.0, 40, 70, 1, student_batch=1000),
    },
}
"""By dataset and images per class. Those for digits come from our own records, as none are published."""

DATM_ELSEWHERE = AlignedPreset(20, 2, 10, 100.0, 2.0, 0, 5, 500)
"""For datasets without published settings."""


@dataclass(frozen=True, kw_only=True)
class DATM(AlignedMatching):
    """Trajectory matching at a difficulty that suits the set size, with learned soft labels.

    Ziyao Guo, Kai Wang, George Cazenavette, Hui Li, Kaipeng Zhang and Yang You, "Towards Lossless Dataset Distillation
    via Difficulty-Aligned Trajectory Matching", ICLR 2024 (arXiv:2310.05773). Early epochs of an expert
    contain easy patterns, which few images can represent; late epochs contain hard patterns, which need many. Start
    epochs are therefore drawn from a growing range. Images are initialised as real ones that an expert classifies
    correctly, labels as the mean logits of the experts that do. The published experts are trained as in FTD: potstill
    experts --gsam-rho 0.01.
    """

    name: ClassVar[str] = "datm"
    citation: ClassVar[Citation] = Citation(
        title="Towards Lossless Dataset Distillation via Difficulty-Aligned Trajectory Matching",
        authors="Guo, Ziyao and Wang, Kai and Cazenavette, George and Li, Hui and Zhang, Kaipeng and You, Yang",
        venue="International Conference on Learning Representations (ICLR)",
        year=2024,
        url="https://arxiv.org/abs/2310.05773",
        key="guo2024datm",
    )

    def published(self, images_per_class: int, dataset: str) -> AlignedPreset:
        """The settings of the released program."""
        return nearest(DATM_PRESETS, dataset, images_per_class, DATM_ELSEWHERE)
