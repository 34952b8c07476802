"""Steps of gradient descent kept whole by autograd: the plain twin of ``potstill.engine.unrolling``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from potstill.networks import Network


def unroll(
    network: Network, start: Sequence[Tensor], batches: Sequence[tuple[Tensor, Tensor]], rates: Sequence[Tensor]
) -> list[Tensor]:
    """theta_{s+1} = theta_s - a_s * gradient of the mean cross-entropy of batch s; theta_S with its whole graph."""
    names, theta = [name for name, _ in network.named_parameters()], list(start)
    for (x, y), a in zip(batches, rates, strict=True):
        loss = F.cross_entropy(functional_call(network, dict(zip(names, theta, strict=True)), (x,)), y)
        gradients = torch.autograd.grad(loss, theta, create_graph=True)
        theta = [parameter - a * gradient for parameter, gradient in zip(theta, gradients, strict=True)]
    return theta
