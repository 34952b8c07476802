"""NCFM: neural characteristic function matching."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from potstill.methods.citations import Citation
from potstill.methods.distribution.pool import DistanceName, PoolMatching
from potstill.methods.pixel_descent import OptimiserName


@dataclass(frozen=True, kw_only=True)
class NCFM(PoolMatching):
    """Characteristic function matching: DANCE with the characteristic functions of embeddings instead of their means.

    Shaobo Wang et al., "Dataset Distillation with Neural Characteristic Function: A Minmax Perspective", CVPR 2025
    (arXiv:2502.20653). The distance of class c is mean_t sqrt(alpha (|phi| - |psi|)² + beta 2 (|phi| |psi| - Re phi
    conj(psi))), phi and psi the characteristic functions of real and synthetic embeddings at frequencies
    t ~ N(0, 1). All else is as in ``dance``. The first released settings draw frequencies at random, as here; a network
    that learns where to draw them is left out.

    These settings have a formation of 2, 1,024 real images per class, 4,096 frequencies, and Adam at 0.001 for
    pixels in [0, 1] over 20,000 iterations, with decoupled weight decay, which is left out here: it pulls pixels
    towards black.
    """

    name: ClassVar[str] = "ncfm"
    citation: ClassVar[Citation] = Citation(
        title="Dataset Distillation with Neural Characteristic Function: A Minmax Perspective",
        authors="Wang, Shaobo and Yang, Yicun and Liu, Zhiyuan and Sun, Chenghao and Hu, Xuming and He, Conghui and "
        "Zhang, Linfeng",
        venue="IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)",
        year=2025,
        url="https://arxiv.org/abs/2502.20653",
        key="wang2025ncfm",
    )

    distance: DistanceName = "characteristic"
    optimiser: OptimiserName = "adam"

    def default_iterations(self, images_per_class: int) -> int:
        """20,000 as in the released settings."""
        return 20_000
