"""MTT: matching training trajectories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from potstill.methods.citations import Citation
from potstill.methods.trajectory import TrajectoryMatching, TrajectoryPreset, nearest

MTT_PRESETS: Mapping[str, Mapping[int, TrajectoryPreset]] = {
    "digits": {
        1: TrajectoryPreset(20, 2, 10, 30.0),
        10: TrajectoryPreset(20, 2, 10, 100.0),
    },
    "mnist": {
        1: TrajectoryPreset(20, 3, 2, 300.0, initial_rate=0.02),
        10: TrajectoryPreset(20, 3, 2, 1000.0, initial_rate=0.02, student_batch=25),
    },
    "cifar10": {
        1: TrajectoryPreset(50, 2, 2, 100.0, rate_learning_rate=1e-7),
        10: TrajectoryPreset(30, 2, 20, 100.0, initial_rate=0.001),
        50: TrajectoryPreset(30, 2, 40, 1000.0, initial_rate=0.001),
    },
    "cifar100": {
        1: TrajectoryPreset(20, 3, 20, 1000.0),
        10: TrajectoryPreset(20, 2, 20, 1000.0),
        50: TrajectoryPreset(80, 2, 40, 1000.0, student_batch=125),
    },
    "tiny-imagenet": {
        1: TrajectoryPreset(10, 2, 10, 1e4, rate_learning_rate=1e-4),
        10: TrajectoryPreset(20, 2, 40, 1e4, rate_learning_rate=1e-4, student_batch=200),
        50: TrajectoryPreset(20, 2, 40, 1e4, rate_learning_rate=1e-4, student_batch=300),
    },
}
"""By dataset and images per class. Those for digits come from our own records, as none are published."""

MTT_ELSEWHERE = TrajectoryPreset(20, 2, 10, 100.0)
"""For datasets without published settings."""


@dataclass(frozen=True, kw_only=True)
class MTT(TrajectoryMatching[TrajectoryPreset]):
    """Trajectory matching: steps on synthetic images should match epochs of experts on real ones.

    George Cazenavette, Tongzhou Wang, Antonio Torralba, Alexei A. Efros and Jun-Yan Zhu, "Dataset Distillation by
    Matching Training Trajectories", CVPR 2022 (arXiv:2203.11932). From epoch t of an expert, a student takes N steps
    on the synthetic images at a learned rate; gradient steps on images and rate reduce || theta_N - theta*_{t+M} ||² /
    || theta*_t - theta*_{t+M} ||². The gradient is exact, whatever ``keep`` is. Settings that are left out take the
    published values for the dataset and the images per class, where there are any.
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

    def published(self, images_per_class: int, dataset: str) -> TrajectoryPreset:
        """The settings of the paper's appendix."""
        return nearest(MTT_PRESETS, dataset, images_per_class, MTT_ELSEWHERE)
