"""What follows from the counts and areas of an audit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scipy.stats import binomtest, norm

from potstill.schema.audit import Attacked, AttackName, AttackResult, FromStart, Neighbours, Rate, is_resolved


def attack(name: AttackName = "rmia", area: float = 0.5, error: float = 0.01, found: float = 5) -> AttackResult:
    """An attack that finds so many of 500 members at 1 % false positives."""
    return AttackResult(
        attack=name,
        aucs=[area - 0.1, area + 0.1],
        auc_error=error,
        balanced_accuracy=0.51,
        rates=[Rate(fpr=0.01, found=found, members=500)],
        epsilon=0.0,
        roc=[(0.001, 0.0), (1.0, 1.0)],
    )


def attacked(*attacks: AttackResult) -> Attacked:
    return Attacked(arm="set", network="convnet", attacks=list(attacks))


@pytest.mark.parametrize(
    ("fpr", "others", "resolved"),
    [(0.001, 10_000, True), (0.001, 9_999, False), (0.01, 1_000, True), (0.1, 99, False)],
)
def test_a_rate_is_resolved_by_ten_false_positives(fpr: float, others: int, resolved: bool):
    assert is_resolved(fpr, others) is resolved


def test_intervals_follow_from_the_counts():
    exact = binomtest(7, 500).proportion_ci(0.95, "exact")
    assert Rate(fpr=0.01, found=7, members=500).interval() == pytest.approx((exact.low, exact.high))
    low, high = attack(area=0.55).auc_interval()
    assert (low, high) == pytest.approx((0.55 - 0.01 * norm.ppf(0.975), 0.55 + 0.01 * norm.ppf(0.975)))
    assert attack(area=0.9, error=0.2).auc_interval()[1] == 1


def test_guesses_find_no_members():
    assert not attacked(attack(), attack("threshold")).finds_members


def test_a_large_area_or_a_high_rate_finds_members():
    assert attacked(attack(), attack("threshold", area=0.55)).finds_members
    assert attacked(attack(), attack("threshold", found=25)).finds_members


def test_one_of_many_attacks_may_be_lucky():
    """What one attack alone would show at 5 % is not enough for one of four."""
    lucky = attack(area=0.5 + 1.8 * 0.01)
    assert attacked(replace(lucky, rates=[])).finds_members
    names: tuple[AttackName, ...] = ("threshold", "lira-offline", "lira-online")
    assert not attacked(lucky, *(attack(name) for name in names)).finds_members


def test_the_strongest_attack_is_that_at_the_lowest_rate():
    found = attacked(attack(area=0.7, found=6), attack("threshold", area=0.6, found=9))
    assert found.lowest_rate == 0.01
    assert found.strongest.attack == "threshold"
    assert found.largest.attack == "rmia"


@pytest.mark.parametrize(
    ("copied", "kept", "moved", "barely"),
    [(1, 1, 0.3, True), (0.4, 1, 0.3, False), (1, 0.4, 0.3, False), (1, 1, 1.2, False), (0, 0, 0, False)],
)
def test_what_has_barely_moved(copied: float, kept: float, moved: float, barely: bool):
    assert FromStart(copied=copied, kept=kept, moved=moved).barely is barely


def near(distances: list[float], held_out: list[float]) -> Neighbours:
    return Neighbours(
        train=9,
        shape=(1, 1, 1),
        distances=distances,
        similarities=[0.5] * len(distances),
        held_out=held_out,
        held_out_similarities=[0.5] * len(held_out),
    )


def test_close_images_are_closer_than_99_percent_of_held_out_ones():
    held_out = [1 + number / 200 for number in range(200)]
    found = near([0.5, 1.0, 1.006, 2.0], held_out)
    assert found.closer == 0.5, "two are below the second smallest distance of 200"
    assert found.ratio == pytest.approx((1.0 + 1.006) / 2 / (1 + 99.5 / 200))
    assert near([0.5], [0.0]).ratio == float("inf")
