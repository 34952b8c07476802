"""A network that takes batches in parts: they fit the cache, and each worker takes whole ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.engine.layout import arranged, chunk_size, is_compiled, part_size, placed
from potstill.networks import Network
from potstill.runtime.compilation import CompiledKinds, compiled
from potstill.runtime.compute import Compute
from potstill.runtime.parallel import parallel_map

Batch = tuple[Tensor, Tensor]
"""Images (N, C, H, W) and their labels."""

LossGradient = tuple[Tensor, list[Tensor]]
"""The sum of a batch's losses, and for each parameter the gradient of their mean: float32 or better."""

PARTS_AT_ONCE = 8
"""Parts whose gradients are kept until they are added up: it bounds the memory of large networks."""


class ChunkedNetwork:
    """A network on its device, compiled where that pays, whose outputs and gradients are computed in parts.

    Parts are put together in their order: the same bits on one core or on many.

    Args:
        network: it is placed where ``compute`` says, and may be given other parameters in place at any time.
        compute: device, precision and compilation.
    """

    def __init__(self, network: Network, compute: Compute) -> None:
        self.network = placed(network, compute)
        self.compute = compute
        compiles = is_compiled(network, compute)
        self._forward = compiled(network) if compiles else network
        self._kinds = CompiledKinds(compiles)

    def logits(self, images: Tensor, *, rare: bool = False) -> Tensor:
        """The logits (N, classes) of ``images`` (N, C, H, W) all at once, in float32 or better.

        With ``rare`` nothing compiled is used: for a number of images that is not met often.
        """
        forward = self.network if rare else self._forward
        logits = forward(arranged(images, self.compute))
        return logits.float() if logits.dtype == torch.bfloat16 else logits

    @torch.no_grad()
    def predict(self, images: Callable[[Tensor], Tensor], count: int) -> Tensor:
        """int64 (count,): the most probable class of each image, on the CPU.

        Args:
            images: gives the images at some indices int64 (n,).
            count: how many there are.
        """
        self.network.eval()
        size = chunk_size(images(torch.zeros(1, dtype=torch.int64)), self.network, self.compute.device)
        chunks = torch.arange(count).split(size)
        # A short last chunk is filled up, so that one compiled shape serves them all.
        full = [F.pad(chunk, (0, len(chunks[0]) - len(chunk))) for chunk in chunks]
        classes = self._kinds.map(lambda chunk: self.logits(images(chunk)).argmax(1), full, lambda _: ("test", size))
        return torch.cat(classes)[:count].cpu()

    def loss_gradients(self, batches: Sequence[Batch], *, rare: bool = False) -> list[LossGradient]:
        """The cross-entropy of independent batches, and the gradient of the mean of each.

        Args:
            batches: pairs of images (N, C, H, W) and of labels, int64 (N,) or probabilities (N, classes).
            rare: whether batches of these sizes are too few to compile for.
        """
        parameters = list(self.network.parameters())

        def of_part(part: tuple[int, Tensor, Tensor]) -> LossGradient:
            number, images, labels = part
            loss = F.cross_entropy(self.logits(images, rare=rare), labels, reduction="sum")
            return loss.detach(), list(torch.autograd.grad(loss / len(batches[number][0]), parameters))

        parts = [
            (number, *part) for number, batch in enumerate(batches) for part in zip(*self._split(batch), strict=True)
        ]
        wide = torch.promote_types(parameters[0].dtype, torch.float32)
        sums = [(torch.zeros((), dtype=wide, device=x.device), _zeros_like(parameters)) for x, _ in batches]
        for first in range(0, len(parts), PARTS_AT_ONCE):
            some = parts[first : first + PARTS_AT_ONCE]
            with _differentiable(parameters):
                if rare:
                    found = parallel_map(of_part, some)
                else:
                    found = self._kinds.map(of_part, some, lambda part: ("train", len(part[2])))
            for (number, *_), (loss, shares) in zip(some, found, strict=True):
                total, gradients = sums[number]
                total += loss
                for gradient, share in zip(gradients, shares, strict=True):
                    gradient += share
        return sums

    def _split(self, batch: Batch) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        images, labels = batch
        size = part_size(images, self.network, self.compute.device)
        return images.split(size), labels.split(size)


@contextmanager
def _differentiable(parameters: Sequence[Tensor]) -> Iterator[None]:
    """Within this context gradients reach ``parameters``, also if they are frozen otherwise."""
    frozen = [parameter for parameter in parameters if not parameter.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)


def _zeros_like(parameters: Sequence[Tensor]) -> list[Tensor]:
    """Where gradients are added up: in float32 at least, and laid out as the parameters are."""
    return [torch.zeros_like(p, dtype=torch.promote_types(p.dtype, torch.float32)) for p in parameters]
