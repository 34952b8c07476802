"""FeatureExtractor: class means in chunks, and the way back from them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from potstill.engine import layout
from potstill.engine.features import Descriptors, FeatureExtractor, embedding, mean_by_class
from potstill.networks import ImageShape, Network, build_network
from potstill.runtime.compute import CPU
from potstill.runtime.parallel import cpu_workers
from tests.small import CPU64, NETWORK

CLASSES, SHARE = 4, 6


def map_and_embedding(network: Network, images: Tensor) -> Descriptors:
    seen = network.observe(images)
    return seen.maps[0].square().flatten(1), seen.embedding


def extractor(spec: str = NETWORK, chunk: int | None = None, describe: Callable[..., Descriptors] = map_and_embedding):
    network = build_network(spec, ImageShape(2, 8, 10), CLASSES, torch.Generator().manual_seed(0))
    return FeatureExtractor(network, describe, CPU64, chunk=chunk)


def draw(count: int = CLASSES * SHARE) -> Tensor:
    return torch.randn(count, 2, 8, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def plain_means(network: Network, images: Tensor) -> list[Tensor]:
    """The mean of each descriptor, one class after another."""
    described = [map_and_embedding(network, members) for members in images.chunk(CLASSES)]
    return [torch.stack([part.mean(0) for part in parts]) for parts in zip(*described, strict=True)]


@pytest.mark.parametrize("chunk", [1, 5, 6, 7, 100, None])
def test_class_means_are_the_means_of_each_class(chunk: int | None):
    made, images = extractor(chunk=chunk), draw()
    means = made.class_means(images, CLASSES)
    for mean, expected in zip(means, plain_means(made.network, images), strict=True):
        assert not mean.requires_grad
        torch.testing.assert_close(mean, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("chunk", [1, 5, 6, 7, 100, None])
def test_pullback_equals_autograd(chunk: int | None):
    made, images = extractor(chunk=chunk), draw().requires_grad_()
    expected = plain_means(made.network, images)
    gradients = tuple(torch.randn_like(mean) for mean in expected)
    (plain,) = torch.autograd.grad(expected, images, gradients)
    means, pullback = made.class_means_and_pullback(images, CLASSES)
    for mean, value in zip(means, expected, strict=True):
        torch.testing.assert_close(mean, value.detach(), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(pullback(gradients), plain, rtol=1e-9, atol=1e-12)


def test_graphs_that_take_too_much_are_computed_again_with_the_same_bits(monkeypatch: pytest.MonkeyPatch):
    images = torch.randn(12, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    network = build_network(NETWORK, ImageShape(1, 8, 8), 3, torch.Generator().manual_seed(1))
    extractor = FeatureExtractor(network, embedding, CPU, chunk=5)

    def matched() -> tuple[Tensor, Tensor, int]:
        kept: list[Tensor] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda saved: kept.append(saved) or saved, lambda saved: saved):
            (means,), pullback = extractor.class_means_and_pullback(images, 3)
        return means, pullback((means.cos(),)), len(kept)

    *at_once, kept = matched()
    monkeypatch.setattr(layout, "CPU_GRAPH_BYTES", 12 * sum(network.map_sizes(images)) * 4 - 1)
    *again, kept_then = matched()
    assert all(one.equal(other) for one, other in zip(at_once, again, strict=True))
    assert kept > kept_then == 0


def test_batch_norm_sees_all_images_at_once():
    made, images = extractor("convnet:depth=2:width=4:norm=batch", chunk=5), draw()
    seen = map_and_embedding(made.network, images)
    for mean, part in zip(made.class_means(images, CLASSES), seen, strict=True):
        torch.testing.assert_close(mean, mean_by_class(part, CLASSES), rtol=1e-10, atol=1e-12)


def test_means_come_in_the_dtype_of_the_images():
    network = build_network(NETWORK, ImageShape(2, 8, 10), CLASSES, torch.Generator())
    means = FeatureExtractor(network, embedding, CPU).class_means(draw(), CLASSES)
    assert means[0].dtype == torch.float64
    assert next(network.parameters()).dtype == torch.float32


def test_network_is_frozen_and_redrawn_in_place():
    made = extractor()
    parameters = list(made.network.parameters())
    before = [parameter.clone() for parameter in parameters]
    assert not any(parameter.requires_grad for parameter in parameters)
    made.redraw(torch.Generator().manual_seed(1))
    assert next(iter(made.network.parameters())) is parameters[0]
    assert not parameters[0].equal(before[0])
    made.redraw(torch.Generator().manual_seed(0))
    assert all(parameter.equal(old) for parameter, old in zip(parameters, before, strict=True))


def test_one_worker_or_more_give_the_same_bits():
    made, images, results = extractor(chunk=5), draw(), []
    for workers in (None, 1, 2, 3):
        with cpu_workers(CPU.device, workers):
            means, pullback = made.class_means_and_pullback(images, CLASSES)
            results.append([*made.class_means(images, CLASSES), *means, pullback(means)])
    for result in results[1:]:
        assert all(one.equal(other) for one, other in zip(result, results[0], strict=True))


def test_mean_by_class():
    descriptors = torch.tensor([[1.0, 0.0], [3.0, 2.0], [5.0, 5.0], [7.0, 5.0]])
    assert mean_by_class(descriptors, 2).tolist() == [[2.0, 1.0], [6.0, 5.0]]
