"""TESLA: trajectory matching with a gradient that treats each step separately."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from potstill.methods.citations import Citation
from potstill.methods.trajectory import TrajectoryMatching, TrajectoryPreset, nearest
from potstill.methods.trajectory.mtt import MTT_ELSEWHERE, MTT_PRESETS


@dataclass(frozen=True, kw_only=True)
class TESLA(TrajectoryMatching[TrajectoryPreset]):
    """Trajectory matching in constant memory, with an approximate per-step gradient.

    Justin Cui, Ruochen Wang, Si Si and Cho-Jui Hsieh, "Scaling Up Dataset Distillation to ImageNet-1K with Constant
    Memory", ICML 2023 (arXiv:2211.10586). The student's end is treated as theta_0 minus the rate times the sum of its
    steps' gradients, each at parameters that are held fixed; the effect of a step on the gradients of later steps is
    neglected, so this is not the gradient of the loss. ``mtt`` with ``keep = "roots"`` gives the exact gradient in
    little more memory. TESLA is included for comparison and for speed: its backward pass needs no Hessian.
    """

    exact: ClassVar[bool] = False
    name: ClassVar[str] = "tesla"
    citation: ClassVar[Citation] = Citation(
        title="Scaling Up Dataset Distillation to ImageNet-1K with Constant Memory",
        authors="Cui, Justin and Wang, Ruochen and Si, Si and Hsieh, Cho-Jui",
        venue="International Conference on Machine Learning (ICML)",
        year=2023,
        url="https://arxiv.org/abs/2211.10586",
        key="cui2023tesla",
    )

    def published(self, images_per_class: int, dataset: str) -> TrajectoryPreset:
        """The settings of ``mtt``, so that the two gradients can be compared."""
        return nearest(MTT_PRESETS, dataset, images_per_class, MTT_ELSEWHERE)
