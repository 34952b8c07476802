"""Trajectory matching as its paper writes it: the student's whole training kept by autograd.

The plain twin of ``potstill.methods.trajectory``, for MTT, DATM and PAD; and of TESLA's own gradient.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from potstill.networks import Network
from tests.twins.unrolling import unroll

Batches = Sequence[tuple[Tensor, Tensor]]


def loss(end: Sequence[Tensor], start: Sequence[Tensor], target: Sequence[Tensor], first: int = 0) -> Tensor:
    """|| theta_N - theta* ||² / || theta_0 - theta* ||², the first parameters by depth left out of both."""
    n, s, t = (torch.cat([tensor.reshape(-1) for tensor in tensors])[first:] for tensors in (end, start, target))
    return ((n - t) ** 2).sum() / ((s - t) ** 2).sum()


def mtt(
    network: Network,
    start: Sequence[Tensor],
    target: Sequence[Tensor],
    batches: Batches,
    rate: Tensor,
    leaves: Sequence[Tensor],
    first: int = 0,
) -> tuple[float, tuple[Tensor, ...]]:
    """The loss and its gradients with respect to ``leaves``, of which batches and rate are made."""
    begun = [tensor.detach().requires_grad_() for tensor in start]
    value = loss(unroll(network, begun, batches, [rate] * len(batches)), start, target, first)
    return value.item(), torch.autograd.grad(value, leaves)


def tesla(
    network: Network,
    start: Sequence[Tensor],
    target: Sequence[Tensor],
    batches: Batches,
    rate: Tensor,
    leaves: Sequence[Tensor],
) -> tuple[float, tuple[Tensor, ...]]:
    """The same where theta_N = theta_0 - rate * sum of g_i(x_i; theta_i) with every theta_i held fixed."""
    names = [name for name, _ in network.named_parameters()]
    theta = [tensor.detach() for tensor in start]
    end = list(theta)
    for x, y in batches:
        fixed = [tensor.detach().requires_grad_() for tensor in theta]
        cross_entropy = F.cross_entropy(functional_call(network, dict(zip(names, fixed, strict=True)), (x,)), y)
        g = torch.autograd.grad(cross_entropy, fixed, create_graph=True)
        end = [tensor - rate * gradient for tensor, gradient in zip(end, g, strict=True)]
        theta = [tensor.detach() - rate.detach() * gradient.detach() for tensor, gradient in zip(theta, g, strict=True)]
    value = loss(end, start, target)
    return value.item(), torch.autograd.grad(value, leaves)
