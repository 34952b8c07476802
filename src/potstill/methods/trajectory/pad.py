"""PAD: trajectory matching with two filters, of data and of parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor

from potstill.methods.citations import Citation
from potstill.methods.trajectory.aligned import AlignedMatching
from potstill.methods.trajectory.base import trajectory_distance
from potstill.methods.trajectory.presets import DATM_ELSEWHERE, PAD_ELSEWHERE, PAD_PRESETS, PAD_RATIOS, nearest
from potstill.runtime.errors import UserError


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

    def resolved(self, images_per_class: int, dataset: str = "") -> Self:
        """The same with the published settings for such a set where nothing else was asked for."""
        filled = self.filled(nearest(PAD_PRESETS, dataset, images_per_class, DATM_ELSEWHERE)._asdict())
        ratio = nearest(PAD_RATIOS, dataset, images_per_class, PAD_ELSEWHERE)
        return replace(filled, ratio=ratio if self.ratio is None else self.ratio)

    def distance(
        self, end: Sequence[Tensor], start: Sequence[Tensor], target: Sequence[Tensor]
    ) -> tuple[float, list[Tensor]]:
        """The loss of the parameters that count, and its gradient by ``end``."""
        count = by_depth if self.by == "depth" else by_difference
        return trajectory_distance(end, start, target, count(end, target, self.ratio or 0.0))


def by_depth(end: Sequence[Tensor], target: Sequence[Tensor], ratio: float) -> Tensor:
    """Which parameters count where the first share ``ratio`` of them, from the input on, does not: bool (P,)."""
    total = sum(tensor.numel() for tensor in end)
    return torch.arange(total, device=end[0].device) >= int(ratio * total)


def by_difference(end: Sequence[Tensor], target: Sequence[Tensor], ratio: float) -> Tensor:
    """Which parameters count where the share ``ratio`` that is nearest to the target does not: bool (P,)."""
    apart = torch.cat([(a - b).flatten().square() for a, b in zip(end, target, strict=True)])
    counts = torch.ones(len(apart), dtype=torch.bool, device=apart.device)
    counts[apart.argsort(stable=True)[: int(ratio * len(apart))]] = False
    return counts
