"""ZCA whitening against its definition."""

from __future__ import annotations

import pytest
import torch

from potstill.data import LabeledImages, fit_whitening, load_dataset
from potstill.runtime.errors import UserError

MEAN, STD = (0.4, 0.6), (0.2, 0.5)


@pytest.fixture
def images() -> torch.Tensor:
    """uint8 (300, 2, 3, 4): neighbouring pixels are alike, as in photographs."""
    noise = torch.rand(300, 2, 5, 6, generator=torch.Generator().manual_seed(0))
    return (torch.nn.functional.avg_pool2d(noise, 3, stride=1) * 255).to(torch.uint8)


def whitened(images: torch.Tensor, eps: float = 0.1) -> torch.Tensor:
    whitening = fit_whitening(images, MEAN, STD, eps=eps)
    labels = torch.zeros(len(images), dtype=torch.int64)
    return LabeledImages(images, labels, ("one",), MEAN, STD, whitening).normalised()


def test_agrees_with_zca_of_pixels_in_the_unit_interval(images: torch.Tensor):
    pixels = images.flatten(1).double() / 255
    values, vectors = torch.linalg.eigh(pixels.T.cov())
    matrix = vectors @ torch.diag((values + 0.1) ** -0.5) @ vectors.T
    expected = (pixels - pixels.mean(0)) @ matrix
    torch.testing.assert_close(whitened(images).flatten(1).double(), expected, rtol=1e-4, atol=1e-4)


def test_the_papers_regularisation_is_the_default(images: torch.Tensor):
    """0.1 as in the programs of MTT, DATM and PAD; it is also what ``load_dataset(zca=True)`` whitens with."""
    given, default = fit_whitening(images, MEAN, STD, eps=0.1), fit_whitening(images, MEAN, STD)
    assert default.matrix.equal(given.matrix)
    assert not default.matrix.equal(fit_whitening(images, MEAN, STD, eps=0.09).matrix)
    digits = load_dataset("digits", cache=None, zca=True).train
    assert digits.whitening is not None
    assert digits.whitening.matrix.equal(fit_whitening(digits.images, digits.mean, digits.std, eps=0.1).matrix)


def test_without_regularisation_pixels_are_uncorrelated(images: torch.Tensor):
    covariance = whitened(images, eps=0.0).flatten(1).T.double().cov()
    torch.testing.assert_close(covariance, torch.eye(len(covariance)).double(), rtol=0, atol=1e-3)


def test_invert_undoes_apply_and_both_are_differentiable(images: torch.Tensor):
    whitening = fit_whitening(images, MEAN, STD)
    original = torch.randn(5, 2, 3, 4, generator=torch.Generator().manual_seed(1), requires_grad=True)
    restored = whitening.invert(whitening.apply(original))
    torch.testing.assert_close(restored, original, rtol=1e-4, atol=1e-4)
    restored.sum().backward()
    assert original.grad is not None
    torch.testing.assert_close(original.grad, torch.ones_like(original), rtol=1e-3, atol=1e-3)


def test_chunks_do_not_matter(images: torch.Tensor):
    whole, parts = (fit_whitening(images, MEAN, STD, chunk=size) for size in (1000, 7))
    torch.testing.assert_close(whole.matrix, parts.matrix)
    torch.testing.assert_close(whole.mean, parts.mean)


def test_the_number_of_cores_does_not_matter():
    images = torch.randint(256, (500, 1, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    threads = torch.get_num_threads()
    fitted = []
    for count in (1, 2):
        torch.set_num_threads(count)
        try:
            fitted.append(fit_whitening(images, (0.5,), (0.25,)).matrix)
            assert torch.get_num_threads() == count
        finally:
            torch.set_num_threads(threads)
    assert fitted[0].equal(fitted[1])


def test_images_too_large_for_a_dense_covariance_are_refused():
    with pytest.raises(UserError, match="`image_size`"):
        fit_whitening(torch.zeros(2, 3, 224, 224, dtype=torch.uint8), (0.0,) * 3, (1.0,) * 3)
