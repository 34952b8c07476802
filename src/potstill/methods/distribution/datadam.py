"""DataDAM: dataset distillation with attention matching."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from torch import Tensor

from potstill.engine.features import Descriptors
from potstill.methods.citations import Citation
from potstill.methods.distribution.attention import AttentionMatching, spatial_attention
from potstill.networks import Network

RELEASED_POWER, RELEASED_LOSS_SCALE = 1.0, 100.0


@dataclass(frozen=True, kw_only=True)
class DataDAM(AttentionMatching):
    """Attention matching: match spatial attention maps layer by layer, and mean embeddings.

    Ahmad Sajedi et al., "DataDAM: Efficient Dataset Distillation with Attention Matching", ICCV 2023
    (arXiv:2310.00093). L = loss_scale * (L_SAM + mmd_weight * L_MMD), with
    L_SAM = sum_l sum_c || mean_i a_l(x_ci) - mean_j a_l(s_cj) ||²,  a_l = z_l / ||z_l||₂,  z_l = sum_k |A_l,k|^power,
    and L_MMD the same distance between mean embeddings. A_l,k is channel k after the activation of block l; l runs over
    every block but the last.

    As in the authors' program, the default draws a new network in each iteration and trains none. That program uses 64
    real images per class, and a learning rate of 10 from 100 images per class on.

    Attributes:
        follow_released_code: use the settings of the authors' program, power 1 and loss scale 100, instead of ``power``
            and ``loss_scale``.
    """

    name: ClassVar[str] = "datadam"
    citation: ClassVar[Citation] = Citation(
        title="DataDAM: Efficient Dataset Distillation with Attention Matching",
        authors="Sajedi, Ahmad and Khaki, Samir and Amjadian, Ehsan and Liu, Lucy Z. and "
        "Lawryshyn, Yuri A. and Plataniotis, Konstantinos N.",
        venue="IEEE/CVF International Conference on Computer Vision (ICCV)",
        year=2023,
        url="https://arxiv.org/abs/2310.00093",
        key="sajedi2023datadam",
    )

    follow_released_code: bool = False

    def descriptor(self) -> Callable[[Network, Tensor], Descriptors]:
        """The attention maps of every block but the last, and the embedding."""
        power = RELEASED_POWER if self.follow_released_code else self.power
        return partial(attention_and_embedding, power=power)

    @property
    def scale(self) -> float:
        """The factor of the loss in effect."""
        return RELEASED_LOSS_SCALE if self.follow_released_code else self.loss_scale


def attention_and_embedding(network: Network, images: Tensor, *, power: float) -> Descriptors:
    """The attention maps of every block but the last, and the embedding.

    Args:
        network: the network that describes the images.
        images: (N, C, H, W).
        power: exponent p of the attention maps.

    Returns:
        Attention maps (N, H_l * W_l) for each block l but the last, then the embedding (N, D).
    """
    seen = network.observe(images)
    return *(spatial_attention(maps, power) for maps in seen.maps[:-1]), seen.embedding
