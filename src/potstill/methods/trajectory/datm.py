"""DATM: trajectory matching at the difficulty that fits the size of the set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from potstill.methods.citations import Citation
from potstill.methods.trajectory.aligned import AlignedMatching


@dataclass(frozen=True, kw_only=True)
class DATM(AlignedMatching):
    """Trajectory matching whose starts suit the size of the set, with soft labels that are learned.

    Ziyao Guo, Kai Wang, George Cazenavette, Hui Li, Kaipeng Zhang and Yang You, "Towards Lossless Dataset Distillation
    via Difficulty-Aligned Trajectory Matching", ICLR 2024 (arXiv:2310.05773). Early epochs of an expert hold easy
    patterns, which few images can carry, late ones hard patterns, which many can: starts are drawn from a range of
    epochs that grows. Images begin as real ones that an expert tells right, labels as the mean logits of the experts
    that do. The published recipe for experts is FTD's: potstill experts --gsam_rho 0.01.
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
