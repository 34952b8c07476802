"""Attacks against hand-made closed forms, and against the equations that they implement."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import norm

from potstill.applications.audit.attacks import (
    ATTACKS,
    Evidence,
    confidences,
    evidence_of,
    explained_by_outside,
    feasible,
    lira_offline,
    lira_online,
    rmia,
)

MEMBERS = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], dtype=bool)


def evidence(target: list[float], references: list[list[float]], members: np.ndarray = MEMBERS) -> Evidence:
    few = len(members)
    return Evidence(np.array(target), np.array(references), members, np.array([0.0]), np.zeros((few, 1)))


def test_a_score_is_the_logit_of_the_true_class():
    logits = torch.randn(50, 7, generator=torch.Generator().manual_seed(0)) * 3
    labels = torch.arange(50) % 7
    # As the authors of LiRA compute it: the softmax in float64, the true class against the sum of all others.
    probabilities = (logits.double() - logits.double().max(1, keepdim=True).values).exp()
    probabilities /= probabilities.sum(1, keepdim=True)
    true = probabilities[torch.arange(50), labels]
    others = probabilities.clone()
    others[torch.arange(50), labels] = 0
    expected = (true + 1e-45).log() - (others.sum(1) + 1e-45).log()
    torch.testing.assert_close(confidences(logits, labels), expected, rtol=1e-10, atol=1e-10)
    assert confidences(logits, labels).dtype == torch.float64


def test_a_certain_network_has_a_finite_score():
    """In float32 the softmax is 1 and 0, and its logit infinite."""
    logits = torch.tensor([[200.0, 0.0, -1000.0], [0.0, 200.0, 0.0]])
    expected = [200.0, -200.0]
    assert confidences(logits, torch.tensor([0, 0])).tolist() == pytest.approx(expected, abs=1e-9)


def test_online_lira_is_a_ratio_of_normal_densities():
    found = lira_online(evidence([2.5, 0.5], [[1, 4], [3, 6], [5, 0], [7, 2]]), "per example")
    for example, (inside, outside) in enumerate([((2, 1), (6, 1)), ((1, 1), (5, 1))]):
        value = [2.5, 0.5][example]
        assert found[example] == pytest.approx(norm.logpdf(value, *inside) - norm.logpdf(value, *outside))


def test_one_variance_for_all_is_of_each_kind_apart():
    """Members have a spread of their own. That between examples is in the means."""
    rows = [[0.0, 10.0], [2.0, 14.0], [100.0, -50.0], [108.0, -46.0]]
    found = lira_online(evidence([3.0, 11.0], rows))
    inside, outside = (
        np.sqrt((2 + 8) / 2),
        np.sqrt((32 + 8) / 2),
    )  # two examples with two scores: two degrees of freedom
    means = [(1, 104), (-48, 12)]
    spread_in, spread_out = np.sqrt((1 + 1 + 4 + 4) / 2), np.sqrt((16 + 16 + 4 + 4) / 2)
    assert (inside, outside) == pytest.approx((spread_in, spread_out))
    for example, (mean_in, mean_out) in enumerate(means):
        value = [3.0, 11.0][example]
        expected = norm.logpdf(value, mean_in, inside) - norm.logpdf(value, mean_out, outside)
        assert found[example] == pytest.approx(expected)


def test_means_are_medians():
    members = np.array([[1]] * 3 + [[0]] * 3, dtype=bool)
    given_ = evidence([0.0], [[0], [1], [50], [3], [4], [5]], members)
    assert lira_offline(given_, "per example")[0] == pytest.approx(-4 / np.std([3, 4, 5]))


def test_offline_lira_does_not_look_at_members():
    rows = [[1.0, 4], [3, 6], [5, 0], [7, 2]]
    other = [[-90.0, 4], [55, 6], [5, 80], [7, 2]]
    first, second = (lira_offline(evidence([2.5, 0.5], each)) for each in (rows, other))
    assert first[0] == pytest.approx(second[0])
    changed = [[1.0, 4], [3, 6], [50, 0], [70, 2]]
    assert lira_offline(evidence([2.5, 0.5], changed))[0] != pytest.approx(first[0])


def test_rmia_as_its_paper_has_it():
    generator = np.random.default_rng(0)
    members = generator.random((4, 30)) < 0.5
    members[:2, :] = [[True], [False]]
    given_ = Evidence(
        generator.normal(size=30),
        generator.normal(size=(4, 30)),
        members,
        generator.normal(size=20),
        generator.normal(size=(4, 20)),
    )
    for a in (0.0, 0.3, 1.0):
        ratios = []
        for example in range(30):
            outside = expit(given_.references[~members[:, example], example]).mean()
            ratios.append(expit(given_.target[example]) / ((1 + a) / 2 * outside + (1 - a) / 2))
        of_population = [
            expit(given_.population[z]) / ((1 + a) / 2 * expit(given_.reference_population[:, z]).mean() + (1 - a) / 2)
            for z in range(20)
        ]
        expected = [np.mean([ratio / other > 1 for other in of_population]) for ratio in ratios]
        assert rmia(given_, a).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("a", [0.0, 0.35, 1.0])
def test_a_is_found_where_members_follow_it(a: float):
    outside = np.linspace(0.1, 0.9, 9)
    rows = logit(np.stack([a * outside + 1 - a - (a == 0) * 1e-12, outside]))
    assert explained_by_outside(rows, np.array([[True] * 9, [False] * 9])) == pytest.approx(a, abs=1e-6)


def test_a_is_that_of_the_references():
    """It is chosen without the target: of another target it is the same."""
    members = np.array([[1, 0, 1], [0, 1, 0]], dtype=bool)
    references = np.array([[3.0, 1.0, 2.0], [0.0, 2.0, 1.0]])
    z = np.linspace(-1, 1, 9)
    first = Evidence(np.array([1.0, 2.0, 3.0]), references, members, z, np.zeros((2, 9)))
    a = explained_by_outside(references, members)
    assert 0 < a < 1
    assert rmia(first).tolist() == rmia(first, a).tolist()


def test_the_complement_of_a_target_is_no_reference():
    rows, members = np.arange(12.0).reshape(6, 2), np.array([[1, 0], [0, 1]] * 3, dtype=bool)
    found = evidence_of(3, rows, members, rows)
    assert found.target.tolist() == rows[3].tolist()
    assert found.references.tolist() == rows[[0, 1, 4, 5]].tolist()
    assert found.members.sum(0).tolist() == [2, 2]


def test_an_example_without_a_reference_is_refused():
    with pytest.raises(ValueError, match="no reference"):
        lira_online(evidence([0.0, 0.0], [[1, 2], [3, 4], [5, 6], [7, 8]], np.ones((4, 2), dtype=bool)))


def test_which_attacks_are_feasible():
    assert feasible(1, 9) == ["threshold"]
    assert feasible(2, 9) == ["threshold", "rmia"]
    assert feasible(3, 9) == list(ATTACKS)
    assert feasible(3, 0) == ["threshold", "lira-offline", "lira-online"], "RMIA needs a population"


@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
def test_how_many_references_have_an_example_does_not_tell_about_the_target(seed: int, pairs: int):
    coins = np.random.default_rng(seed).random((pairs, 40)) < 0.5
    members = np.stack([coins, ~coins], 1).reshape(2 * pairs, 40)
    scores = np.zeros((2 * pairs, 40))
    for target in range(2 * pairs):
        assert set(evidence_of(target, scores, members, scores).members.sum(0)) == {pairs - 1}
