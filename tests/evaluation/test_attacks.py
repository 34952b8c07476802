"""Attacks: within their bounds, right on a linear network, and no weaker with more steps or a larger bound."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from potstill.evaluation.attacks import Model, cross_entropy, fgsm, margin, pgd

LABELS = torch.tensor([0, 1, 2, 1])


def pixels(seed: int = 0) -> Tensor:
    return torch.rand(4, 1, 5, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def linear(seed: int = 0) -> tuple[Tensor, Model]:
    """The matrix of a linear network of three classes, and the network."""
    matrix = torch.randn(3, 25, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return matrix, lambda images: images.flatten(1) @ matrix.T


def loss(model: Model, images: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(model(images), LABELS, reduction="none")


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), epsilon=st.floats(0.001, 0.5), steps=st.integers(1, 6))
def test_no_pixel_changes_by_more_than_epsilon_or_leaves_its_range(seed: int, epsilon: float, steps: int):
    _, model = linear(seed)
    images, start = pixels(seed), 2 * pixels(seed + 1) - 1
    attacked = [fgsm(model, images, LABELS, epsilon)]
    attacked += [
        pgd(model, images, LABELS, epsilon, steps=steps, start=start, loss=by) for by in (cross_entropy, margin)
    ]
    for each in attacked:
        assert (each - images).abs().max() <= epsilon + 1e-12
        assert each.min() >= 0
        assert each.max() <= 1
        assert not each.requires_grad


def test_fgsm_goes_along_the_sign_of_the_gradient():
    matrix, model = linear()
    images = 0.5 + 0.2 * (pixels() - 0.5)
    probabilities = model(images).softmax(1)
    gradient = (probabilities - torch.nn.functional.one_hot(LABELS, 3)) @ matrix
    expected = images + 0.1 * gradient.sign().reshape(images.shape)
    assert torch.allclose(fgsm(model, images, LABELS, 0.1), expected)


def test_the_margin_attack_finds_the_worst_corner_of_a_linear_network_of_two_classes():
    matrix = torch.randn(2, 25, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    images, labels = 0.5 + 0.2 * (pixels() - 0.5), torch.tensor([0, 1, 0, 1])
    found = pgd(
        lambda each: each.flatten(1) @ matrix.T,
        images,
        labels,
        0.1,
        steps=10,
        start=2 * pixels(1) - 1,
        loss=margin,
    )
    worst = torch.where(labels[:, None] == 0, matrix[1] - matrix[0], matrix[0] - matrix[1])
    assert torch.allclose(found, images + 0.1 * worst.sign().reshape(images.shape))


def test_the_margin_is_that_to_the_best_wrong_class():
    logits = torch.tensor([[3.0, 1.0, 2.5], [0.0, 5.0, 7.0]])
    assert margin(logits, torch.tensor([0, 1])).item() == pytest.approx((2.5 - 3.0) + (7.0 - 5.0))


def test_more_reach_and_more_steps_raise_the_loss():
    network = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(25, 16), torch.nn.Tanh(), torch.nn.Linear(16, 3)
    ).double()
    for number, parameter in enumerate(network.parameters()):
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(number))
    images, start = pixels(), 2 * pixels(1) - 1
    by_reach = [loss(network, fgsm(network, images, LABELS, epsilon)).mean() for epsilon in (0.01, 0.05, 0.1)]
    assert loss(network, images).mean() < by_reach[0] < by_reach[1] < by_reach[2]
    many = pgd(network, images, LABELS, 0.1, steps=20, start=start, loss=cross_entropy)
    assert loss(network, many).mean() > by_reach[2]
