"""Transforms are inverted by their encoding, their pullback is autograd's, and a set keeps what is not learned."""

from __future__ import annotations

import pytest
import torch

from potstill.synthetic import IDENTITY, PIXELS, POSITIVE, SOFTMAX, Parametrisation, Transform
from tests.small import problem

VALUES = {
    "identity": (IDENTITY, torch.tensor([[-1.0, 0.0], [2.0, 7.0]], dtype=torch.float64)),
    "softmax": (SOFTMAX, torch.tensor([[0.9, 0.1], [0.25, 0.75]], dtype=torch.float64)),
    "positive": (POSITIVE, torch.tensor([[0.02, 0.1], [1.0, 5.0]], dtype=torch.float64)),
}
every_transform = pytest.mark.parametrize("name", VALUES)


@every_transform
def test_decode_inverts_encode(name: str):
    transform, value = VALUES[name]
    torch.testing.assert_close(transform.decode(transform.encode(value)), value, rtol=1e-12, atol=1e-14)


@every_transform
def test_pullback_is_autograds(name: str):
    transform: Transform = VALUES[name][0]
    generator = torch.Generator().manual_seed(0)
    raw, gradient = (torch.randn(4, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    leaf = raw.clone().requires_grad_()
    (expected,) = torch.autograd.grad(transform.decode(leaf), leaf, gradient)
    torch.testing.assert_close(transform.pullback(raw, gradient), expected, rtol=1e-12, atol=1e-14)


def test_pixels_are_their_own_representation():
    start = problem(ipc=2).start
    state = {"images": start.images + 1}
    decoded = PIXELS.decode(state, start)
    assert decoded.images is state["images"]
    assert decoded.labels.equal(start.labels)
    gradients = {"images": torch.ones_like(start.images), "labels": torch.ones(20, 10)}
    assert PIXELS.pullback(state, start, gradients).keys() == {"images"}
    result = PIXELS.result(state, start)
    assert result.images.equal(state["images"])
    assert result.labels.equal(start.labels)


def test_labels_alone_leave_the_images_as_they_were():
    start = problem(ipc=2).start
    logits = torch.randn(20, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    learned = Parametrisation(images=None, labels=SOFTMAX)
    images, labels = learned.decode({"labels": logits}, start)
    assert images.dtype == labels.dtype == torch.float64
    assert images.float().equal(start.images)
    assert labels.equal(logits.softmax(1))
    result = learned.result({"labels": logits}, start)
    assert result.images is start.images
    assert result.labels.equal(logits.softmax(1).float())


def test_a_parametrisation_learns_something():
    with pytest.raises(ValueError, match="learns nothing"):
        Parametrisation(images=None)
