"""MTT: matching training trajectories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from potstill.methods.citations import Citation
from potstill.methods.trajectory.base import TrajectoryMatching


@dataclass(frozen=True, kw_only=True)
class MTT(TrajectoryMatching):
    """Trajectory matching: steps on the synthetic images take a network where epochs on the real ones took experts.

    George Cazenavette, Tongzhou Wang, Antonio Torralba, Alexei A. Efros and Jun-Yan Zhu, "Dataset Distillation by
    Matching Training Trajectories", CVPR 2022 (arXiv:2203.11932). From an expert's epoch t a student takes N steps on
    the synthetic images at a learned rate; images and rate descend on || theta_N - theta*_{t+M} ||² divided by
    || theta*_t - theta*_{t+M} ||². The gradient is exact, whatever is kept of the steps. Settings that are left out are
    the published ones for the dataset and the images per class, where there are any.
    """

    name: ClassVar[str] = "mtt"
    citation: ClassVar[Citation] = Citation(
        title="Dataset Distillation by Matching Training Trajectories",
        authors="Cazenavette, George and Wang, Tongzhou and Torralba, Antonio and Efros, Alexei A. and Zhu, Jun-Yan",
        venue="IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)",
        year=2022,
        url="https://arxiv.org/abs/2203.11932",
        key="cazenavette2022mtt",
    )
