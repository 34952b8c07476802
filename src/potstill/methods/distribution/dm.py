"""DM: distribution matching."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from potstill.engine.features import Descriptors, embedding
from potstill.methods.citations import Citation
from potstill.methods.distribution import squared_distance
from potstill.methods.distribution.random_networks import RandomNetworks
from potstill.networks import Network


@dataclass(frozen=True, kw_only=True)
class DM(RandomNetworks):
    """Distribution matching: match class means in the embedding spaces of random networks.

    Bo Zhao and Hakan Bilen, "Dataset Condensation with Distribution Matching", WACV 2023 (arXiv:2110.04181).

    Each iteration draws a network, which is never trained, and takes one gradient step of the pixels on
    L = sum_c || mean_i f(A(x_ci)) - mean_j f(A(s_cj)) ||², where f is the embedding and A one augmentation per class.
    L is divided neither by the embedding size nor by the number of classes; suitable step sizes grow with neither.

    The paper uses a learning rate of 10 from 100 images per class on.
    """

    name: ClassVar[str] = "dm"
    citation: ClassVar[Citation] = Citation(
        title="Dataset Condensation with Distribution Matching",
        authors="Zhao, Bo and Bilen, Hakan",
        venue="IEEE/CVF Winter Conference on Applications of Computer Vision (WACV)",
        year=2023,
        url="https://arxiv.org/abs/2110.04181",
        key="zhao2023dm",
    )

    def default_iterations(self, images_per_class: int) -> int:
        """20,000 as in the paper, for any number of images per class."""
        return 20_000

    def descriptor(self) -> Callable[[Network, Tensor], Descriptors]:
        """The embedding."""
        return embedding

    def loss(self, targets: Descriptors, means: Descriptors) -> Tensor:
        """L of the paper's equation 4 for one network and one augmentation: sum_c ||target_c - mean_c||²."""
        return squared_distance(targets[0], means[0])
