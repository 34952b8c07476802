"""The descriptors of many images under one network: all classes together, in chunks that fit the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.data import Examples
from potstill.engine.layout import arrange_images, chunk_size, is_compiled, keeps_graphs, place_network
from potstill.engine.rows import RowBuffer
from potstill.networks import Network
from potstill.runtime.compilation import CompiledKinds, compiled
from potstill.runtime.compute import Compute

Descriptors = tuple[Tensor, ...]
"""One matrix (N, D_l) for each kind of descriptor: an embedding, an attention map, ..."""

Pullback = Callable[[Descriptors], Tensor]
"""From the gradients with respect to descriptors to the gradient with respect to the images."""


class FeatureExtractor:
    """A network, and a function that computes descriptors of images with it.

    The network is built and compiled once; its parameters are redrawn in place for every iteration.

    Args:
        network: its parameters are frozen.
        describe: from the network and images (N, C, H, W) to descriptors of any floating dtype.
        compute: device, precision and compilation.
        chunk: the number of images at a time; None chooses it for the device.
    """

    def __init__(
        self,
        network: Network,
        describe: Callable[[Network, Tensor], Descriptors],
        compute: Compute,
        *,
        chunk: int | None = None,
    ) -> None:
        self.network = place_network(network, compute)
        self.network.requires_grad_(False).train()
        self.compute = compute
        self.chunk = chunk

        def run(images: Tensor) -> Descriptors:
            return describe(network, images)

        compiles = is_compiled(network, compute)
        self._run = compiled(run, compute) if compiles else run
        self._kinds = CompiledKinds(compiles)

    def redraw(self, generator: torch.Generator) -> None:
        """Draw new parameters, in place."""
        self.network.initialise(generator)

    @torch.no_grad()
    def class_means(self, images: Tensor, classes: int) -> Descriptors:
        """The mean descriptors of each class, without a graph.

        Args:
            images: (classes * n, C, H, W), ordered by class, n of each.
            classes: the number of classes.

        Returns:
            For each descriptor (classes, D_l), in the dtype of the images.
        """
        rows = self._described_rows(images.split(self._chunk_of(images)), len(images))
        return tuple(mean_by_class(part, classes) for part in rows)

    @torch.no_grad()
    def describe(self, images: Examples) -> Descriptors:
        """The descriptors of every image, without a graph.

        Returns:
            For each descriptor float32 (N, D_l), on the device.
        """
        return self._describe_each(images.normalised, images.normalised(slice(0, 1)), len(images))

    @torch.no_grad()
    def describe_tensor(self, images: Tensor) -> Descriptors:
        """The descriptors of ``images`` (N, C, H, W), without a graph.

        Returns:
            For each descriptor (N, D_l), in the dtype of the images.
        """
        return self._describe_each(images.__getitem__, images, len(images))

    def _describe_each(self, take: Callable[[Tensor], Tensor], some: Tensor, count: int) -> Descriptors:
        size = self.chunk or chunk_size(some, self.network, self.compute.device)
        chunks = torch.arange(count).split(size)
        # A short last chunk is padded, so that all chunks use one compiled shape.
        full = [F.pad(chunk, (0, len(chunks[0]) - len(chunk))) for chunk in chunks]
        rows = RowBuffer(count)

        def describe(job: tuple[int, Tensor]) -> None:
            start, chunk = job
            rows.put(start, tuple(part[: count - start] for part in self._describe(take(chunk))))

        self._kinds.map(describe, list(zip(range(0, max(count, 1), size), full, strict=True)), lambda _: (size, "all"))
        return rows.parts

    def class_means_and_pullback(self, images: Tensor, classes: int) -> tuple[Descriptors, Pullback]:
        """The mean descriptors of each class, and the pullback of gradients from them to the images.

        Args:
            images: (classes * n, C, H, W), ordered by class, n of each.
            classes: the number of classes.

        Returns:
            For each descriptor (classes, D_l); and the function from the gradients of a loss with respect to these to
            its gradient with respect to ``images``.
        """
        size = self._chunk_of(images)
        leaves = [some.detach().requires_grad_() for some in images.split(size)]
        kept = keeps_graphs(images, self.network, self.compute) or len(leaves) == 1
        chunks = self._describe_all(leaves) if kept else [()] * len(leaves)
        with torch.no_grad():
            whole = map(torch.cat, zip(*chunks, strict=True)) if kept else self._described_rows(leaves, len(images))
            means = tuple(mean_by_class(part, classes) for part in whole)
        share = len(images) // classes

        def pullback(gradients: Descriptors) -> Tensor:
            per_image = [(part / share).repeat_interleave(share, dim=0).split(size) for part in gradients]
            rows = RowBuffer(len(images))

            def back(job: tuple[int, Tensor, Descriptors, Descriptors]) -> None:
                start, leaf, described, gradients = job
                found = described if kept else self._describe(leaf)
                rows.put(start, torch.autograd.grad(found, leaf, gradients))

            starts = range(0, len(images), size)
            jobs = list(zip(starts, leaves, chunks, zip(*per_image, strict=True), strict=True))
            with torch.enable_grad():
                self._kinds.map(back, jobs, lambda job: (job[1].shape, "gradient"))
            return rows.parts[0]

        return means, pullback

    def _chunk_of(self, images: Tensor) -> int:
        if self.network.needs_whole_batches:
            return len(images)
        return self.chunk or chunk_size(images, self.network, self.compute.device)

    def _describe_all(self, chunks: Sequence[Tensor]) -> list[Descriptors]:
        return self._kinds.map(
            self._describe, chunks, lambda chunk: (chunk.shape, chunk.requires_grad and torch.is_grad_enabled())
        )

    @torch.no_grad()
    def _described_rows(self, chunks: Sequence[Tensor], count: int) -> Descriptors:
        """The descriptors of all chunks, without a graph."""
        rows, starts = RowBuffer(count), [0, *accumulate(len(chunk) for chunk in chunks)]

        def described(job: tuple[int, Tensor]) -> None:
            rows.put(job[0], self._describe(job[1]))

        jobs = list(zip(starts, chunks, strict=False))
        self._kinds.map(described, jobs, lambda job: (job[1].shape, False))
        return rows.parts

    def _describe(self, images: Tensor) -> Descriptors:
        return tuple(part.to(images.dtype) for part in self._run(arrange_images(images, self.compute)))


def mean_by_class(descriptors: Tensor, classes: int) -> Tensor:
    """From descriptors (classes * n, D), ordered by class, to their means (classes, D)."""
    return descriptors.reshape(classes, -1, descriptors.shape[1]).mean(dim=1)


def embedding(network: Network, images: Tensor) -> Descriptors:
    """The embedding alone, (N, D)."""
    return (network.embed(images),)


def classifier(network: Network, compute: Compute) -> FeatureExtractor:
    """An extractor of logits: a network in evaluation mode, which computes in no less than float32.

    For many networks of one architecture make one, and install their weights in its network: it is compiled once.
    """
    extractor = FeatureExtractor(network, _forward, compute.precise)
    extractor.network.eval()
    return extractor


def logits_of(extractor: FeatureExtractor, images: Examples) -> Tensor:
    """float32 (N, classes), on the CPU: the logits of N images by a :func:`classifier`."""
    return extractor.describe(images)[0].float().cpu()


def _forward(network: Network, images: Tensor) -> Descriptors:
    return (network(images),)
