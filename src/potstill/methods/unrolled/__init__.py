"""What methods have in common that descend through training: the loss of real images under the trained parameters."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from potstill.engine.chunked import ChunkedNetwork
from potstill.methods.base import Problem


def loss_on_real(
    problem: Problem,
    chunked: ChunkedNetwork,
    parameters: Sequence[Tensor],
    batch_real: int,
    generator: torch.Generator,
) -> tuple[float, list[Tensor]]:
    """The mean cross-entropy of random real images under ``parameters``, and its gradient with respect to them.

    Args:
        problem: what is distilled.
        chunked: a network of that architecture; it is given the parameters.
        parameters: in the order of the network's.
        batch_real: how many images, of all classes together; all of them if there are fewer.
        generator: what draws them.
    """
    with torch.no_grad():
        for own, value in zip(chunked.network.parameters(), parameters, strict=True):
            own.copy_(value)
    chosen = torch.randperm(len(problem.real), generator=generator)[:batch_real].to(problem.real.labels.device)
    images = problem.real.normalised(chosen).to(parameters[0].dtype)
    [(total, gradient)] = chunked.loss_gradients([(images, problem.real.labels[chosen])])
    return total.item() / len(chosen), gradient
