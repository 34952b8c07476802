"""Characteristic functions of embeddings, and the distance between those of real and of synthetic images.

Shaobo Wang et al., "Dataset Distillation with Neural Characteristic Function: A Minmax Perspective", CVPR 2025
(arXiv:2502.20653). Of embeddings f_n of unit length, phi(t) = mean_n exp(i t·f_n), at frequencies t ~ N(0, 1). Its real
and imaginary parts are means of cos t·f_n and sin t·f_n, so that they are class means of descriptors like any other.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.engine.features import Descriptors
from potstill.networks import Network
from potstill.runtime.compute import Compute

EPSILON = 1e-12
"""The least square of a modulus, and the least of what a distance is the root of, so that roots have a gradient."""


class CharacteristicFunction:
    """Describes images by cos t·f and sin t·f for many frequencies t.

    Args:
        frequencies: the number of frequencies.
        size: D, that of an embedding.
        compute: where networks compute, and in which precision.
    """

    def __init__(self, frequencies: int, size: int, compute: Compute) -> None:
        dtype = torch.promote_types(compute.dtype, torch.float32)
        self._frequencies = torch.zeros(size, frequencies, dtype=dtype, device=compute.device)

    def redraw(self, generator: torch.Generator) -> None:
        """Draw new frequencies from N(0, 1), in place.

        Args:
            generator: a CPU generator.
        """
        self._frequencies.copy_(torch.randn(self._frequencies.shape, generator=generator), non_blocking=True)

    def describe(self, network: Network, images: Tensor) -> Descriptors:
        """The cosines and the sines of images (N, C, H, W), (N, frequencies) each, in float32 or better."""
        embedded = network.embed(images).to(self._frequencies.dtype)
        angles = F.normalize(embedded, dim=1) @ self._frequencies
        return angles.cos(), angles.sin()


def characteristic_distance(
    targets: Descriptors, means: Descriptors, amplitude_weight: float, phase_weight: float
) -> Tensor:
    """The sum over classes of mean_t sqrt(alpha (|phi| - |psi|)² + beta 2 (|phi| |psi| - Re phi conj(psi))).

    With alpha = beta = 1/2, a term is |phi - psi| / sqrt 2.

    Args:
        targets: the real and the imaginary parts of phi, of real images, (classes, frequencies) each.
        means: those of psi, of synthetic images.
        amplitude_weight: alpha.
        phase_weight: beta.
    """
    (real, imaginary), (real_s, imaginary_s) = targets, means
    moduli = [(x.square() + y.square()).clamp_min(EPSILON).sqrt() for x, y in (targets, means)]
    amplitude = (moduli[0] - moduli[1]).square()
    phase = 2 * (moduli[0] * moduli[1] - real * real_s - imaginary * imaginary_s)
    apart = amplitude_weight * amplitude + phase_weight * phase
    return apart.clamp_min(EPSILON).sqrt().mean(dim=1).sum()
