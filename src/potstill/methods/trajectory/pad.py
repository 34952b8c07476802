"""PAD: trajectory matching with filtered data and filtered parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor

from potstill.methods.citations import Citation
from potstill.methods.problem import Problem
from potstill.methods.trajectory import nearest, trajectory_distance
from potstill.methods.trajectory.aligned import AlignedMatching, AlignedPreset
from potstill.methods.trajectory.datm import DATM_ELSEWHERE, DATM_PRESETS
from potstill.runtime.bounds import below_one

PAD_PRESETS: Mapping[str, Mapping[int, AlignedPreset]] = {
    **DATM_PRESETS,
    "cifar10": {
        **DATM_PRESETS["cifar10"],
        50: AlignedPreset(80, 3, 40, 1000.0, 2.0, 0, 20, 2000),
        500: AlignedPreset(40, 2, 70, 50.0, 10.0, 40, 60, 2000, student_batch=1000),
    },
    "cifar100": {
        **DATM_PRESETS["cifar100"],
        1: AlignedPreset(40, 3, 30, 1000.0, 10.0, 0, 20, 1000),
    },
}
"""Those of DATM, except where PAD's own configurations differ."""

PAD_RATIOS: Mapping[str, Mapping[int, float]] = {
    "cifar10": {1: 0.0, 10: 0.5, 50: 0.25, 500: 0.5, 1000: 0.5},
    "cifar100": {1: 0.5, 10: 0.5, 50: 0.0, 100: 0.5},
    "tiny-imagenet": {1: 0.5, 10: 0.5, 50: 0.5},
}
"""The fraction of the parameters, from the input on, that PAD leaves out (from its README)."""

RATIO_ELSEWHERE = 0.25
"""For datasets without a published fraction."""


@dataclass(frozen=True, kw_only=True)
class PAD(AlignedMatching):
    """DATM with filtered data and filtered parameters: curriculum experts, deep layers matched.

    Zekai Li, Ziyao Guo, Wangbo Zhao et al., "Prioritize Alignment in Dataset Distillation", 2024 (arXiv:2408.03360).
    Data are filtered when the experts are trained, which see neither hard images early nor easy images late: potstill
    experts --curriculum. Parameters are filtered by leaving the shallowest ones out of both norms of the loss, because
    shallow layers contribute low-level noise to small sets. The released program leaves out individual parameters
    instead, those that differ least from the target.

    Attributes:
        ratio: fraction of the parameters that is left out; by default the published one for the dataset and the images
            per class.
        by: which parameters are left out: ``depth``, those nearest to the input, as in the paper; or ``difference``,
            those closest to the target, as in the released program.
    """

    name: ClassVar[str] = "pad"
    citation: ClassVar[Citation] = Citation(
        title="Prioritize Alignment in Dataset Distillation",
        authors="Li, Zekai and Guo, Ziyao and Zhao, Wangbo and Zhang, Tianle and Cheng, Zhi-Qi and Khaki, Samir and "
        "Zhang, Kaipeng and Sajedi, Ahmad and Plataniotis, Konstantinos N. and Wang, Kai and You, Yang",
        venue="arXiv preprint",
        year=2024,
        url="https://arxiv.org/abs/2408.03360",
        key="li2024pad",
    )

    ratio: float | None = None
    by: Literal["depth", "difference"] = "depth"

    def __post_init__(self) -> None:
        super().__post_init__()
        below_one(self, "ratio")

    def published(self, images_per_class: int, dataset: str) -> AlignedPreset:
        """The settings of the released program."""
        return nearest(PAD_PRESETS, dataset, images_per_class, DATM_ELSEWHERE)

    def share(self, images_per_class: int, dataset: str) -> float:
        """The fraction of the parameters that is left out."""
        return nearest(PAD_RATIOS, dataset, images_per_class, RATIO_ELSEWHERE) if self.ratio is None else self.ratio

    def resolved(self, images_per_class: int, dataset: str = "") -> Self:
        """A copy with every setting filled in."""
        filled = super().resolved(images_per_class, dataset)
        return replace(filled, ratio=self.share(images_per_class, dataset))

    def distance(
        self, problem: Problem, end: Sequence[Tensor], start: Sequence[Tensor], target: Sequence[Tensor]
    ) -> tuple[float, list[Tensor]]:
        """The loss over the parameters that are matched, and its gradient with respect to ``end``.

        Args:
            problem: the distillation problem.
            end: theta_N, one tensor per parameter.
            start: theta*_t, likewise.
            target: theta*_{t+M}, likewise.

        Returns:
            The loss, and its gradient with respect to each tensor of ``end``.
        """
        count = by_depth if self.by == "depth" else by_difference
        share = self.share(problem.images_per_class, problem.dataset)
        return trajectory_distance(end, start, target, count(end, target, share))


def by_depth(end: Sequence[Tensor], _target: Sequence[Tensor], ratio: float) -> Tensor:
    """Select all parameters but the fraction ``ratio`` nearest to the input.

    Args:
        end: parameters of the student, P scalars in all, in the order of the network.
        _target: not used.
        ratio: fraction to leave out.

    Returns:
        bool (P,): the parameters to match.
    """
    total = sum(tensor.numel() for tensor in end)
    return torch.arange(total, device=end[0].device) >= int(ratio * total)


def by_difference(end: Sequence[Tensor], target: Sequence[Tensor], ratio: float) -> Tensor:
    """Select all parameters but the fraction ``ratio`` that is closest to the target.

    Args:
        end: parameters of the student, P scalars in all, in the order of the network.
        target: parameters of the expert, of the same shapes.
        ratio: fraction to leave out.

    Returns:
        bool (P,): the parameters to match.
    """
    apart = torch.cat([(a - b).flatten().square() for a, b in zip(end, target, strict=True)])
    counts = torch.ones(len(apart), dtype=torch.bool, device=apart.device)
    counts[apart.argsort(stable=True)[: int(ratio * len(apart))]] = False
    return counts
