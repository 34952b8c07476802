"""ATOM: attention mixer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from potstill.engine.features import Descriptors
from potstill.methods.citations import Citation
from potstill.methods.distribution.attention import AttentionMatching, spatial_attention, summed_powers
from potstill.networks import Network
from potstill.runtime.bounds import at_least


@dataclass(frozen=True, kw_only=True)
class ATOM(AttentionMatching):
    """Attention mixing: match spatial and channel attention maps layer by layer, and mean embeddings.

    Samir Khaki, Ahmad Sajedi et al., "ATOM: Attention Mixer for Efficient Dataset Distillation", CVPR workshops 2024
    (arXiv:2405.01373). To the loss of DataDAM comes the same distance between channel attention maps:
    L = loss_scale * (L_SAM + L_CAM + mmd_weight * L_MMD), with
    L_CAM = sum_l sum_c || mean_i b_l(x_ci) - mean_j b_l(s_cj) ||²,  b_l = y_l / ||y_l||₂,
    y_l,k = sum over positions of |A_l,k|^channel_power. Both run over every block but the last. The authors released no
    program; all settings are those of DataDAM.

    Attributes:
        channel_power: exponent of the channel attention maps; 4 in the paper.
    """

    name: ClassVar[str] = "atom"
    citation: ClassVar[Citation] = Citation(
        title="ATOM: Attention Mixer for Efficient Dataset Distillation",
        authors="Khaki, Samir and Sajedi, Ahmad and Wang, Kai and Liu, Lucy Z. and Lawryshyn, Yuri A. and "
        "Plataniotis, Konstantinos N.",
        venue="IEEE/CVF Conference on Computer Vision and Pattern Recognition Workshops (CVPRW)",
        year=2024,
        url="https://arxiv.org/abs/2405.01373",
        key="khaki2024atom",
    )

    channel_power: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, channel_power=0)

    def descriptor(self) -> Callable[[Network, Tensor], Descriptors]:
        """The spatial and the channel attention maps of every block but the last, and the embedding."""
        return partial(mixed_attention_and_embedding, power=self.power, channel_power=self.channel_power)


def channel_attention(activations: Tensor, power: float) -> Tensor:
    """Channel attention maps (N, K) of activations (N, K, H, W): the sum of |A_k|^power, normalised to unit length.

    They are in float32 or better.
    """
    return F.normalize(summed_powers(activations, power, (2, 3)), dim=1)


def mixed_attention_and_embedding(
    network: Network, images: Tensor, *, power: float, channel_power: float
) -> Descriptors:
    """Both attention maps of every block but the last, and the embedding.

    Args:
        network: the network that describes the images.
        images: (N, C, H, W).
        power: exponent of the spatial attention maps.
        channel_power: exponent of the channel attention maps.

    Returns:
        Spatial maps (N, H_l * W_l) for each block l but the last, channel maps (N, K_l) likewise, then the embedding
        (N, D).
    """
    seen = network.observe(images)
    spatial = [spatial_attention(maps, power) for maps in seen.maps[:-1]]
    return *spatial, *(channel_attention(maps, channel_power) for maps in seen.maps[:-1]), seen.embedding
