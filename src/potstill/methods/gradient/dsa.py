"""DSA: gradient matching under Siamese augmentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from potstill.augmentation import SiameseAugmentation, siamese_augmentation
from potstill.methods.citations import Citation
from potstill.methods.gradient.alternating import AlternatingMatching, Loops
from potstill.methods.gradient.dc import PUBLISHED_LOOPS, PUBLISHED_NETWORKS
from potstill.methods.problem import Problem


@dataclass(frozen=True, kw_only=True)
class DSA(AlternatingMatching):
    """Gradient matching with Siamese augmentation shared by real and synthetic images.

    Bo Zhao and Hakan Bilen, "Dataset Condensation with Differentiable Siamese Augmentation", ICML 2021
    (arXiv:2102.08259). Like ``dc``, but starting from real images, with one augmentation per class and iteration
    applied to both sides of the distance, and with augmentation in the network's training. The authors' program uses
    the loop lengths of ``dc``.
    """

    name: ClassVar[str] = "dsa"
    citation: ClassVar[Citation] = Citation(
        title="Dataset Condensation with Differentiable Siamese Augmentation",
        authors="Zhao, Bo and Bilen, Hakan",
        venue="International Conference on Machine Learning (ICML)",
        year=2021,
        url="https://arxiv.org/abs/2102.08259",
        key="zhao2021dsa",
    )
    published_networks: ClassVar[int] = PUBLISHED_NETWORKS
    published_loops: ClassVar[Mapping[int, Loops]] = PUBLISHED_LOOPS

    def augmentation(self, problem: Problem) -> SiameseAugmentation:
        """The published operations, without flips if they change the class."""
        return siamese_augmentation(flips=problem.flips)
