"""FRePo computes what its paper writes, and keeps a pool of networks of all ages in the state."""

from __future__ import annotations

import pytest
import torch

from potstill.methods import FRePo
from potstill.methods.frepo import margins, regressed
from potstill.methods.state import LAMB, Adam
from potstill.runtime.errors import UserError
from tests.small import problem
from tests.twins.kernel import frepo_step, label_margin, new_pool, train_member

SMALL = {"batch_real": 60, "networks": 3, "most_steps": 6, "network_batch": 15, "network_learning_rate": 0.01}


@pytest.mark.parametrize("optimiser", ["lamb", "adam"])
def test_equals_its_twin_through_the_ages_of_the_pool(optimiser: str):
    given = problem(ipc=2, precision="float64")
    method = FRePo(**SMALL, optimiser=optimiser, ridge=1e-3, learning_rate=0.02)  # type: ignore[arg-type]
    step = (LAMB if optimiser == "lamb" else Adam)(0.02)
    state = method.prepare(given)
    images, logits, pool = state["images"], state["labels"], new_pool(given, method)
    plain = step.init("images", images) | step.init("labels", logits)
    for iteration in range(12):
        state, loss = method.step(given, state, iteration)
        expected, gradients = frepo_step(given, method, plain["images"], plain["labels"], pool, iteration)
        for name, gradient in zip(("images", "labels"), gradients, strict=True):
            plain = step.step(plain, name, gradient, iteration)
        train_member(given, method, plain["images"], plain["labels"], pool, iteration)
        assert float(loss) == pytest.approx(expected.item(), rel=1e-7)
        torch.testing.assert_close(state["images"], plain["images"], rtol=1e-6, atol=1e-8)
        torch.testing.assert_close(state["labels"], plain["labels"], rtol=1e-6, atol=1e-8)
    ages = [int(state[f"pool.{number}.age"]) for number in range(3)]
    assert ages == [member.age for member in pool]
    for number, member in enumerate(pool):
        for name, weight in member.network.named_parameters():
            torch.testing.assert_close(state[f"pool.{number}.{name}"], weight.detach(), rtol=1e-5, atol=1e-7)


def test_networks_are_of_all_ages_from_the_beginning_and_drawn_anew_at_the_end():
    given, method = problem(), FRePo(**{**SMALL, "networks": 3, "most_steps": 6})
    state, seen = method.prepare(given), set()
    assert [int(state[f"pool.{number}.age"]) for number in range(3)] == [0, 2, 4]
    for iteration in range(30):
        state, _ = method.step(given, state, iteration)
        seen |= {int(state[f"pool.{number}.age"]) for number in range(3)}
    assert seen == set(range(7))


def test_batch_norms_are_refused():
    with pytest.raises(UserError, match="batch norms"):
        FRePo(**SMALL).prepare(problem(network="convnet:depth=1:width=4:norm=batch"))


def test_labels_stay_fixed_where_they_are_not_learned():
    given, method = problem(), FRePo(**SMALL, learn_labels=False)
    state, _ = method.step(given, method.prepare(given), 0)
    assert "labels" not in state
    assert method.result(given, state).labels.equal(given.start.labels)


def test_learned_labels_are_probabilities_near_the_classes_at_first():
    given, method = problem(ipc=2), FRePo(**SMALL)
    labels = method.result(given, method.prepare(given)).labels
    assert labels.argmax(1).equal(given.start.labels)
    assert 0.95 < labels.max(1).values.min() < 1


def test_a_regression_on_its_own_features_returns_its_labels():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(6, 20, generator=generator, dtype=torch.float64)
    labels = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(regressed(features, features, labels, 0.0), labels)
    assert regressed(features, features, labels, 1e6).abs().max() < 1e-4


def test_margins_by_hand():
    labels = torch.tensor([[0.5, 0.4, 0.1, 0.0], [0.9, 0.1, 0.0, 0.0]], dtype=torch.float64)
    assert margins(labels).tolist() == [pytest.approx(0.1), 0.25]
    assert label_margin(labels).item() == pytest.approx((0.1 + 0.25) / 2)
