"""A network that takes batches in parts, which fit the cache and are distributed among workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.engine.layout import arrange_images, chunk_size, is_compiled, part_size, place_network
from potstill.engine.rows import RowBuffer
from potstill.networks import Network
from potstill.runtime.compilation import CompiledKinds, compiled
from potstill.runtime.compute import Compute
from potstill.runtime.parallel import parallel_map

Batch = tuple[Tensor, Tensor]
"""Images (N, C, H, W) and their labels."""

LossGradient = tuple[Tensor, list[Tensor]]
"""The sum of the losses of a batch, and the gradient of their mean for each parameter, in float32 or better."""

Loss = Callable[[Tensor, Batch], Tensor]
"""From the logits (n, classes) of a batch of n images, and the batch, to the sum of the losses."""

PARTS_AT_ONCE = 8
"""The number of parts whose gradients are kept before they are added up, which bounds the memory."""


def cross_entropy(logits: Tensor, batch: Batch) -> Tensor:
    """The usual loss: the summed cross-entropy with the labels of a batch."""
    return F.cross_entropy(logits, batch[1], reduction="sum")


class ChunkedNetwork:
    """A network on its device, compiled where that pays off, whose outputs and gradients are computed in parts.

    Parts are combined in order: the bits are the same on one core or on many.

    Args:
        network: moved to the device and dtype of ``compute``; its parameters may be changed in place at any time.
        compute: device, precision and compilation.
    """

    def __init__(self, network: Network, compute: Compute) -> None:
        self.network = place_network(network, compute)
        self.compute = compute
        compiles = is_compiled(network, compute)
        self._forward = compiled(network, compute) if compiles else network
        self._kinds = CompiledKinds(compiles)

    def logits(self, images: Tensor, *, eager: bool = False) -> Tensor:
        """The logits (N, classes) of ``images`` (N, C, H, W) in one pass, in float32 or better.

        Args:
            images: of any dtype, on any device.
            eager: whether to run without compiled code, for a number of images that is too rare to compile for.
        """
        forward = self.network if eager else self._forward
        logits = forward(arrange_images(images, self.compute))
        return logits.float() if logits.dtype == torch.bfloat16 else logits

    def predict(self, images: Callable[[Tensor], Tensor], count: int) -> Tensor:
        """The most probable class of each image, as int64 (count,) on the CPU.

        Args:
            images: from indices int64 (n,) to the images (n, C, H, W) at them.
            count: the number of images.
        """
        return self._of_all(images, count, lambda logits: logits.argmax(1)).cpu()

    def all_logits(self, images: Callable[[Tensor], Tensor], count: int) -> Tensor:
        """The logits (count, classes) of many images, on the device, in float32 or better.

        Args:
            images: from indices int64 (n,) to the images (n, C, H, W) at them.
            count: the number of images.
        """
        return self._of_all(images, count, lambda logits: logits)

    @torch.no_grad()
    def _of_all(self, images: Callable[[Tensor], Tensor], count: int, of: Callable[[Tensor], Tensor]) -> Tensor:
        """What ``of`` makes of the logits of each chunk, for all images: (count, ...)."""
        self.network.eval()
        size = chunk_size(images(torch.zeros(1, dtype=torch.int64)), self.network, self.compute.device)
        chunks = torch.arange(count).split(size)
        # A short last chunk is padded, so that all chunks use one compiled shape.
        full = [F.pad(chunk, (0, len(chunks[0]) - len(chunk))) for chunk in chunks]
        rows = RowBuffer(count)

        def test(job: tuple[int, Tensor]) -> None:
            start, chunk = job
            rows.put(start, (of(self.logits(images(chunk)))[: count - start],))

        self._kinds.map(test, list(zip(range(0, max(count, 1), size), full, strict=True)), lambda _: ("test", size))
        return rows.parts[0]

    def loss_gradients(
        self, batches: Sequence[Batch], *, eager: bool = False, loss_of: Loss = cross_entropy
    ) -> list[LossGradient]:
        """The loss of independent batches, and the gradient of its mean for each batch.

        Args:
            batches: pairs of images (N, C, H, W) and of labels, int64 (N,) or probabilities (N, classes).
            eager: whether to run without compiled code, for sizes of batches that are too rare to compile for.
            loss_of: the loss of a part of a batch.
        """
        parameters = list(self.network.parameters())

        def of_part(part: tuple[int, Tensor, Tensor]) -> LossGradient:
            number, images, labels = part
            loss = loss_of(self.logits(images, eager=eager), (images, labels))
            return loss.detach(), list(torch.autograd.grad(loss / len(batches[number][0]), parameters))

        parts = [
            (number, *part) for number, batch in enumerate(batches) for part in zip(*self._split(batch), strict=True)
        ]
        wide = torch.promote_types(parameters[0].dtype, torch.float32)
        sums = [(torch.zeros((), dtype=wide, device=x.device), _zeros_like(parameters)) for x, _ in batches]
        for first in range(0, len(parts), PARTS_AT_ONCE):
            some = parts[first : first + PARTS_AT_ONCE]
            with _differentiable(parameters):
                if eager:
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
    """Within this context gradients reach ``parameters``, even if they are frozen."""
    frozen = [parameter for parameter in parameters if not parameter.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)


def _zeros_like(parameters: Sequence[Tensor]) -> list[Tensor]:
    """Zeros to which gradients are added: in at least float32, with the strides of the parameters."""
    return [torch.zeros_like(p, dtype=torch.promote_types(p.dtype, torch.float32)) for p in parameters]
