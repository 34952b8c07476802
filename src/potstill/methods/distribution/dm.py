"""DM: distribution matching."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from potstill.engine.features import Descriptors, embedding
from potstill.methods.citations import Citation
from potstill.methods.distribution import DistributionMatching, squared_distance
from potstill.networks import Network


@dataclass(frozen=True, kw_only=True)
class DM(DistributionMatching):
    """Distribution matching: class means in the embeddings of random networks are made to agree.

    Bo Zhao and Hakan Bilen, "Dataset Condensation with Distribution Matching", WACV 2023 (arXiv:2110.04181).

    At every iteration a network is drawn afresh and never trained, and the pixels descend on
    L = sum_c || mean_i f(A(x_ci)) - mean_j f(A(s_cj)) ||², f the embedding, A one augmentation a class.
    L is divided neither by the embedding's size nor by the number of classes: useful step sizes grow with neither.

    The paper takes a learning rate of 10 for 100 images per class and more.
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
        """The paper's 20,000, whatever the number of images."""
        return 20_000

    def descriptor(self) -> Callable[[Network, Tensor], Descriptors]:
        """The embedding."""
        return embedding

    def loss(self, targets: Descriptors, means: Descriptors) -> Tensor:
        """L of the paper's equation 4 under one network and one augmentation: sum_c ||target_c - mean_c||²."""
        return squared_distance(targets[0], means[0])
