"""DANCE: dual-view distribution alignment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from potstill.methods.citations import Citation
from potstill.methods.distribution.pool import PoolMatching


@dataclass(frozen=True, kw_only=True)
class DANCE(PoolMatching):
    """Dual-view alignment: match class means under half-trained networks, and keep images in their class.

    Hansong Zhang et al., "DANCE: Dual-View Distribution Alignment for Dataset Condensation", IJCAI 2024
    (arXiv:2406.01063). An iteration draws a network of a pool and l ~ U(0, 1), and descends
    sum_c || mean_i f(A(x_ci)) - mean_j f(A(s_cj)) ||², with f the embedding under the weights l w_0 + (1 - l) w_T, and
    then the cross-entropy of the synthetic images under w_T.

    The paper uses a pool of networks trained for 60 epochs with momentum 0.9 and weight decay 5e-4, a formation of 2,
    and a step size of 0.01 for pixels in [0, 1] times the images per class. The default is 0.16 times the images per
    class: the same for pixels whose standard deviation is 1/4, as in CIFAR-10. The program updates the images of one
    class after another; here all classes make one step.
    """

    name: ClassVar[str] = "dance"
    citation: ClassVar[Citation] = Citation(
        title="DANCE: Dual-View Distribution Alignment for Dataset Condensation",
        authors="Zhang, Hansong and Li, Shikun and Lin, Fanzhao and Wang, Weiping and Qian, Zhenxing and Ge, Shiming",
        venue="International Joint Conference on Artificial Intelligence (IJCAI)",
        year=2024,
        url="https://arxiv.org/abs/2406.01063",
        key="zhang2024dance",
    )

    def default_iterations(self, images_per_class: int) -> int:
        """10,000 as in the authors' program."""
        return 10_000
