"""PAD: trajectory matching with two filters, of data and of parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor

from potstill.methods.base import Problem
from potstill.methods.citations import Citation
from potstill.methods.trajectory import nearest, trajectory_distance
from potstill.methods.trajectory.aligned import AlignedMatching, AlignedPreset
from potstill.methods.trajectory.datm import DATM_ELSEWHERE, DATM_PRESETS
from potstill.runtime.errors import UserError

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
"""DATM's, but for what PAD's own configurations have otherwise."""

PAD_RATIOS: Mapping[str, Mapping[int, float]] = {
    "cifar10": {1: 0.0, 10: 0.5, 50: 0.25, 500: 0.5, 1000: 0.5},
    "cifar100": {1: 0.5, 10: 0.5, 50: 0.0, 100: 0.5},
    "tiny-imagenet": {1: 0.5, 10: 0.5, 50: 0.5},
}
"""The share of the parameters, from the shallow end, that PAD leaves out (its README)."""

RATIO_ELSEWHERE = 0.25
"""For datasets that nobody has published a share for."""


@dataclass(frozen=True, kw_only=True)
class PAD(AlignedMatching):
    """DATM with the misaligned left out: images that are too easy or too hard, and shallow parameters.

    Zekai Li, Ziyao Guo, Wangbo Zhao et al., "Prioritize Alignment in Dataset Distillation", 2024 (arXiv:2408.03360).
    Its filter of data is how the experts are trained: potstill experts --curriculum. Its filter of parameters leaves
    the first share of them, by depth, out of both norms of the loss, because what shallow layers give to few images is
    low-level noise. The released program leaves out single parameters instead, those that differ least.

    Attributes:
        ratio: the share of the parameters that is left out; the published one for the dataset and the images per class.
        by: ``depth``, from the input on, as in the paper; or ``difference``, the smallest first, as in the released
            program.
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
        if self.ratio is not None and not 0 <= self.ratio < 1:
            raise UserError(f"a share of {self.ratio} leaves nothing to match", "use a --ratio from 0 to below 1")

    def published(self, images_per_class: int, dataset: str) -> AlignedPreset:
        """Those of the released program."""
        return nearest(PAD_PRESETS, dataset, images_per_class, DATM_ELSEWHERE)

    def share(self, images_per_class: int, dataset: str) -> float:
        """The share of the parameters that is left out."""
        return nearest(PAD_RATIOS, dataset, images_per_class, RATIO_ELSEWHERE) if self.ratio is None else self.ratio

    def resolved(self, images_per_class: int, dataset: str = "") -> Self:
        """The same with every setting filled in."""
        filled = super().resolved(images_per_class, dataset)
        return replace(filled, ratio=self.share(images_per_class, dataset))

    def distance(
        self, problem: Problem, end: Sequence[Tensor], start: Sequence[Tensor], target: Sequence[Tensor]
    ) -> tuple[float, list[Tensor]]:
        """The loss of the parameters that count, and its gradient by ``end``."""
        count = by_depth if self.by == "depth" else by_difference
        share = self.share(problem.images_per_class, problem.dataset)
        return trajectory_distance(end, start, target, count(end, target, share))


def by_depth(end: Sequence[Tensor], _target: Sequence[Tensor], ratio: float) -> Tensor:
    """Which parameters count where the first share ``ratio`` of them, from the input on, does not: bool (P,)."""
    total = sum(tensor.numel() for tensor in end)
    return torch.arange(total, device=end[0].device) >= int(ratio * total)


def by_difference(end: Sequence[Tensor], target: Sequence[Tensor], ratio: float) -> Tensor:
    """Which parameters count where the share ``ratio`` that is nearest to the target does not: bool (P,)."""
    apart = torch.cat([(a - b).flatten().square() for a, b in zip(end, target, strict=True)])
    counts = torch.ones(len(apart), dtype=torch.bool, device=apart.device)
    counts[apart.argsort(stable=True)[: int(ratio * len(apart))]] = False
    return counts
