"""ROC curves and what follows from them, against hand-made ones and other programs' definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score, roc_curve

from potstill.applications.audit.attacks import ATTACKS, evidence_of
from potstill.applications.audit.roc import Roc, least_epsilon, proven_epsilon, sampled_areas
from potstill.schema.audit import AttackName
from potstill.schema.statistics import clopper_pearson


def coins(pairs: int, images: int, seed: int = 0) -> np.ndarray:
    """Members of networks in complementary pairs."""
    tossed = np.random.default_rng(seed).random((pairs, images)) < 0.5
    return np.stack([tossed, ~tossed], 1).reshape(2 * pairs, images)


def test_a_curve_by_hand():
    roc = Roc.of(np.array([0.9, 0.8, 0.8, 0.3, 0.1]), np.array([True, True, False, False, True]))
    assert roc.true_positives.tolist() == [0, 1, 2, 2, 3]
    assert roc.false_positives.tolist() == [0, 0, 1, 2, 2]
    assert roc.thresholds.tolist() == [math.inf, 0.9, 0.8, 0.3, 0.1]
    assert roc.area == pytest.approx((1 + 1 + 0.5 + 1) / 6)
    assert roc.balanced_accuracy == pytest.approx((1 + 1 / 3) / 2)
    assert [roc.place_at(fpr) for fpr in (0.0, 0.4, 0.5, 0.9, 1.0)] == [1, 1, 2, 2, 4]


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=4, max_size=60))
def test_curves_are_those_of_scikit_learn(drawn: list[tuple[int, bool]]):
    drawn = [*drawn, (5, True), (5, False)]
    scores, members = np.array([float(score) for score, _ in drawn]), np.array([each for _, each in drawn])
    roc = Roc.of(scores, members)
    fpr, tpr, _ = roc_curve(members, scores, drop_intermediate=False)
    assert roc.fpr.tolist() == pytest.approx(fpr.tolist())
    assert roc.tpr.tolist() == pytest.approx(tpr.tolist())
    assert roc.area == pytest.approx(roc_auc_score(members, scores))


def test_perfect_scores_have_an_area_of_one():
    members = coins(2, 50)
    areas, samples = sampled_areas([members.astype(float), -members.astype(float)], members, 0)
    assert areas.tolist() == [1.0, 0.0]
    assert (samples[0] == 1).all()
    assert (samples[1] == 0).all()


@pytest.mark.parametrize("attack", ATTACKS)
def test_scores_without_information_have_an_area_of_one_half(attack: AttackName):
    """Whatever the attack, an interval of two standard errors holds 0.5 about as often as it should."""
    inside = 0
    for seed in range(20):
        generator, members = np.random.default_rng(seed), coins(3, 200, seed)
        hardness = generator.normal(size=200) * 3
        scores, population = hardness + generator.normal(size=(6, 200)), generator.normal(size=(6, 300))
        found = np.stack([ATTACKS[attack].score(evidence_of(t, scores, members, population)) for t in range(6)])
        areas, samples = sampled_areas([found], members, seed)
        inside += abs(areas[0] - 0.5) < 2 * samples[0].std(ddof=1)
    assert inside >= 17


@pytest.mark.parametrize("attack", ["rmia", "lira-offline", "lira-online"])
def test_attacks_with_references_beat_the_loss_where_images_differ_in_difficulty(attack: AttackName):
    generator, members = np.random.default_rng(0), coins(4, 300)
    hardness = generator.normal(size=300) * 4
    scores = hardness + 2 * members + generator.normal(size=(8, 300))
    population = generator.normal(size=(8, 300)) * 4
    names: tuple[AttackName, ...] = (attack, "threshold")
    area = [
        np.mean(
            [
                Roc.of(ATTACKS[name].score(evidence_of(t, scores, members, population)), members[t]).area
                for t in range(8)
            ]
        )
        for name in names
    ]
    assert area[0] > area[1] + 0.1


def test_the_samples_spread_as_repetitions_do():
    """The standard error of the bootstrap, against areas of newly drawn scores of one pair."""
    areas, errors = [], []
    for seed in range(60):
        generator, members = np.random.default_rng(seed), coins(1, 100, seed)
        found, samples = sampled_areas([members + generator.normal(size=(2, 100))], members, seed)
        areas.append(found[0])
        errors.append(samples[0].std(ddof=1))
    assert np.mean(errors) == pytest.approx(np.std(areas, ddof=1), rel=0.3)


@pytest.mark.parametrize(("found", "of"), [(0, 10), (3, 10), (10, 10), (1, 5000), (120, 5000)])
def test_intervals_of_rates_are_exact(found: int, of: int):
    expected = binomtest(found, of).proportion_ci(0.95, "exact")
    assert clopper_pearson(found, of) == pytest.approx((expected.low, expected.high))


def test_an_epsilon_by_hand():
    low, high = clopper_pearson(60, 100, 0.95)[0], clopper_pearson(10, 100, 0.95)[1]
    assert least_epsilon(60, 100, 10, 100, 0.01, 0.95) == pytest.approx(math.log((low - 0.01) / high))
    # Members missed are rarer than others told right: the other direction proves more.
    low, high = clopper_pearson(100, 100, 0.95)[0], clopper_pearson(50, 100, 0.95)[1]
    assert least_epsilon(100, 100, 50, 100, 0.0, 0.95) == pytest.approx(math.log((1 - high) / (1 - low)))
    assert least_epsilon(10, 100, 10, 100, 0.0, 0.95) == 0


def randomised_response(epsilon: float, images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Answers that tell membership with exactly this epsilon."""
    members = coins(1, images, seed)
    honest = np.random.default_rng(seed + 1).random(members.shape) < math.exp(epsilon) / (1 + math.exp(epsilon))
    return np.where(honest, members, ~members).astype(float), members


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 2.0])
def test_no_more_than_the_true_epsilon_is_proven(epsilon: float):
    proven = [proven_epsilon(*randomised_response(epsilon, 4000, seed), delta=0.0) for seed in range(10)]
    assert sum(each > epsilon for each in proven) <= 1
    assert np.mean(proven) == pytest.approx(epsilon, abs=0.2)


def test_the_threshold_is_chosen_by_other_images_than_those_that_measure():
    """Scores that are perfect on every other image, and without information on the rest, prove nothing."""
    members = coins(2, 2000)
    scores = np.random.default_rng(0).random(members.shape)
    scores[:, ::2] = members[:, ::2] * 2.0 - 0.5
    assert proven_epsilon(scores, members, delta=0.0) < 0.2
