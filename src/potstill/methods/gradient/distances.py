"""The distances of gradient matching, between two gradients with respect to the same parameters.

Each takes the two gradients as lists with one tensor per parameter, in the order of the network, and returns a scalar.
Real gradients are constants; synthetic ones carry a graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

Gradients = Sequence[Tensor]
DistanceName = Literal["layerwise", "euclidean", "cosine", "l1", "mse"]

EPSILON = 1e-6
"""Added to the product of two norms, as in the published program."""


def layerwise(real: Gradients, synthetic: Gradients) -> Tensor:
    """Equation 9 of Zhao et al. (ICLR 2021): sum over layers l and output rows i of 1 - cos(g^R_li, g^S_li).

    The rows of a weight belong to its output units: (out, in * k * k) for a convolution. Biases, and the scales and
    shifts of normalisation layers, have one dimension and contribute nothing, as in the published program.
    """
    pairs = [(r.flatten(1), s.flatten(1)) for r, s in zip(real, synthetic, strict=True) if r.dim() > 1]
    return torch.stack([(1 - _cosine(r, s)).sum() for r, s in pairs]).sum()


def euclidean(real: Gradients, synthetic: Gradients) -> Tensor:
    """The squared Euclidean distance of all gradients: sum_l || g^R_l - g^S_l ||²."""
    return torch.stack([(r - s).square().sum() for r, s in zip(real, synthetic, strict=True)]).sum()


def cosine(real: Gradients, synthetic: Gradients) -> Tensor:
    """1 - cos of all gradients, concatenated into one vector."""
    flat = (torch.cat([part.flatten() for part in gradients]) for gradients in (real, synthetic))
    return 1 - _cosine(*flat)


def l1(real: Gradients, synthetic: Gradients) -> Tensor:
    """The sum of |g^R - g^S| over the weights of convolutions, as in Kim et al. (ICML 2022)."""
    return torch.stack([(r - s).abs().sum() for r, s in _convolutions(real, synthetic)]).sum()


def mse(real: Gradients, synthetic: Gradients) -> Tensor:
    """The sum of (g^R - g^S)² over the weights of convolutions, as there: a sum despite its name."""
    return torch.stack([(r - s).square().sum() for r, s in _convolutions(real, synthetic)]).sum()


def _convolutions(real: Gradients, synthetic: Gradients) -> list[tuple[Tensor, Tensor]]:
    """The gradients of the weights of convolutions; of a network without any, those of all its weights."""
    pairs = [(r, s) for r, s in zip(real, synthetic, strict=True) if r.dim() > 1]
    return [pair for pair in pairs if pair[0].dim() == 4] or pairs


DISTANCES: dict[DistanceName, Callable[[Gradients, Gradients], Tensor]] = {
    "layerwise": layerwise,
    "euclidean": euclidean,
    "cosine": cosine,
    "l1": l1,
    "mse": mse,
}


def _cosine(r: Tensor, s: Tensor) -> Tensor:
    """The cosine of the angle between rows (..., D), with the published epsilon."""
    return (r * s).sum(-1) / (r.norm(dim=-1) * s.norm(dim=-1) + EPSILON)
