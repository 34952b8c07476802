"""Linear gradient matching: the gradients of heads are those of autograd, and trained heads are matched on all data."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from potstill.methods import LinearGradient, Problem
from potstill.methods.linear_gradient import SPACING, gradients_on_all, head_gradients
from potstill.methods.state import Adam
from potstill.runtime.errors import UserError
from tests.small import problem


def autograd_gradient(head: Tensor, vectors: Tensor, labels: Tensor) -> Tensor:
    """dL/dW of the mean cross-entropy of a linear head, kept in the graph of the vectors."""
    head = head.clone().requires_grad_()
    loss = F.cross_entropy(vectors @ head.T, labels)
    return torch.autograd.grad(loss, head, create_graph=True)[0]


def twin_step(given: Problem, images: Tensor, pairs: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """The loss 1 - cos and its gradient, through two passes of autograd; pairs of a head and its real gradient."""
    images = images.clone().requires_grad_()
    losses = []
    for head, real in pairs:
        ours = autograd_gradient(head, images.flatten(1), given.start.labels)
        losses.append(1 - (ours * real).sum() / (ours.norm() * real.norm()))
    loss = torch.stack(losses).mean()
    return loss.detach(), torch.autograd.grad(loss, images)[0]


def batch(given: Problem, generator: torch.Generator, count: int) -> tuple[Tensor, Tensor]:
    chosen = torch.randint(len(given.real), (count,), generator=generator)
    return given.real.normalised(chosen).flatten(1).double(), given.real.labels[chosen]


def random_head(given: Problem, generator: torch.Generator, scale: float) -> Tensor:
    size = math.prod(given.real.shape)
    return (torch.randn(1, 10, size, generator=generator) * (scale / size**0.5))[0].double()


def test_random_heads_equal_the_plain_twin():
    given = problem(ipc=2, precision="float64", network="linear")
    method = LinearGradient(batch_real=50, head_scale=0.7)
    state = method.prepare(given)
    plain = Adam(method.learning_rate).init("images", state["images"])
    for iteration in range(4):
        streams = given.streams.child("iteration", iteration)
        head = random_head(given, streams.generator("head"), 0.7)
        real = autograd_gradient(head, *batch(given, streams.generator("real batch"), 50)).detach()
        expected, gradient = twin_step(given, plain["images"], [(head, real)])
        state, loss = method.step(given, state, iteration)
        plain = Adam(method.learning_rate).step(plain, "images", gradient, iteration)
        assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
        torch.testing.assert_close(state["images"], plain["images"], rtol=1e-10, atol=1e-12)


def test_trained_heads_equal_the_plain_twin():
    given = problem(ipc=2, precision="float64", network="linear")
    method = LinearGradient(heads="trained", batch_real=50, trainings=2, head_steps=7, heads_per_iteration=3)
    every = given.real.normalised().flatten(1).double()
    second = every.T @ every / len(every)
    rate = method.head_learning_rate / torch.linalg.eigvalsh(second).max().item()
    pool = []
    for number in range(2):
        streams = given.streams.child("pool", number)
        head = random_head(given, streams.generator("head"), 1.0)
        for step in range(7):
            if step % SPACING == 0:
                pool.append((head, autograd_gradient(head, every, given.real.labels).detach()))
            head = (
                head - rate * autograd_gradient(head, *batch(given, streams.generator("real batch", step), 50)).detach()
            )
    state = method.prepare(given)
    plain = Adam(method.learning_rate).init("images", state["images"])
    for iteration in range(4):
        draws = given.streams.child("iteration", iteration).generator("heads")
        chosen = torch.randint(len(pool), (3,), generator=draws).tolist()
        expected, gradient = twin_step(given, plain["images"], [pool[place] for place in chosen])
        state, loss = method.step(given, state, iteration)
        plain = Adam(method.learning_rate).step(plain, "images", gradient, iteration)
        # The largest eigenvalue comes from twenty steps of power iteration here, from a decomposition there.
        assert loss.item() == pytest.approx(expected.item(), rel=1e-3)
        torch.testing.assert_close(state["images"], plain["images"], rtol=1e-3, atol=1e-3)


def test_the_largest_eigenvalue_is_found():
    given = problem(precision="float64", network="linear")
    every = given.real.normalised().flatten(1).double()
    largest = torch.linalg.eigvalsh(every.T @ every / len(every)).max().item()
    assert LinearGradient()._largest_eigenvalue(given) == pytest.approx(largest, rel=1e-3)


def test_gradients_on_all_do_not_depend_on_the_size_of_blocks(monkeypatch: pytest.MonkeyPatch):
    given = problem(precision="float64", network="linear")
    heads = torch.randn(3, 10, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    whole = gradients_on_all(heads, given.real)
    monkeypatch.setattr("potstill.methods.linear_gradient.BLOCK_VALUES", 500)
    monkeypatch.setattr("potstill.methods.linear_gradient.HEADS_AT_ONCE", 2)
    torch.testing.assert_close(gradients_on_all(heads, given.real), whole, rtol=1e-10, atol=1e-14)


def test_soft_labels_give_the_gradient_of_their_cross_entropy():
    generator = torch.Generator().manual_seed(0)
    head, vectors = (torch.randn(n, 5, dtype=torch.float64, generator=generator) for n in (3, 6))
    labels = torch.rand(6, 3, dtype=torch.float64, generator=generator).softmax(1)
    expected = autograd_gradient(head, vectors, labels)
    torch.testing.assert_close(head_gradients(head[None], vectors, labels)[0], expected, rtol=1e-12, atol=1e-14)


def test_another_network_is_refused():
    with pytest.raises(UserError, match="linear-gradient matches linear heads, not mlp; use `network=linear`"):
        LinearGradient().prepare(problem(network="mlp"))


def test_a_pool_larger_than_memory_is_refused(monkeypatch: pytest.MonkeyPatch):
    given = problem(network="linear")
    monkeypatch.setattr("potstill.runtime.bounds.memory_bytes", lambda: 1000)
    with pytest.raises(UserError, match="200 heads with their gradients need"):
        LinearGradient(heads="trained").prepare(given)
