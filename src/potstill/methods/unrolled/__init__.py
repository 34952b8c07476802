"""Methods that differentiate through training: the loss on real images after a few unrolled steps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from potstill.engine.chunked import ChunkedNetwork
from potstill.methods.problem import Problem


def loss_on_real(
    problem: Problem,
    chunked: ChunkedNetwork,
    parameters: Sequence[Tensor],
    batch_real: int,
    generator: torch.Generator,
) -> tuple[float, list[Tensor]]:
    """The mean cross-entropy on random real images under ``parameters``, and its gradient with respect to them.

    Args:
        problem: the distillation problem.
        chunked: a network of the architecture; its parameters are overwritten.
        parameters: one tensor per parameter, in the order of the network.
        batch_real: number of real images over all classes, at most all of them.
        generator: CPU generator that draws the images.

    Returns:
        The loss, and its gradient with respect to each parameter.
    """
    with torch.no_grad():
        for own, value in zip(chunked.network.parameters(), parameters, strict=True):
            own.copy_(value)
    chosen = torch.randperm(len(problem.real), generator=generator)[:batch_real].to(problem.real.labels.device)
    images = problem.real.normalised(chosen).to(parameters[0].dtype)
    [(total, gradient)] = chunked.loss_gradients([(images, problem.real.labels[chosen])])
    return total.item() / len(chosen), gradient
