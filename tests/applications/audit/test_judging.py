"""From scores to results: on scores of which it is known what they give away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from potstill.applications.audit.judging import Question, differences, judged_networks, judged_sets, level_of_bounds
from potstill.applications.audit.scoring import Scored, packed
from potstill.synthetic import SyntheticSet
from tests.small import digits

SHADOWS, IMAGES = 6, 400


def question(origins: int = 0) -> Question:
    """Coins in complementary pairs; a few members of each pipeline are what its set was begun from."""
    coins = np.random.default_rng(0).random((SHADOWS // 2, IMAGES)) < 0.5
    members = np.stack([coins, ~coins], 1).reshape(SHADOWS, IMAGES)
    begun = np.zeros_like(members)
    for row, inside in zip(begun, members, strict=True):
        row[np.flatnonzero(inside)[:origins]] = True
    return Question(members, begun, delta=0.0, level=0.95, seed=0)


def scored(gain: np.ndarray, failed: Sequence[int] = ()) -> list[Scored]:
    """Networks whose scores are noise and a gain for each image."""
    generator = np.random.default_rng(1)
    return [
        Scored(failed="it diverged")
        if row in failed
        else Scored(
            pool=packed(torch.from_numpy(gain[row] + generator.normal(size=IMAGES))),
            population=packed(torch.from_numpy(generator.normal(size=50))),
            accuracy=0.9,
        )
        for row in range(SHADOWS)
    ]


def test_what_is_given_away_is_found_and_the_rest_is_not():
    asked = question(origins=10)
    found = judged_networks("set", "mlp", scored(8.0 * asked.begun), asked).result
    assert [attack.attack for attack in found.attacks] == ["threshold", "rmia", "lira-offline", "lira-online"]
    offline = found.attacks[2]
    assert [rate.fpr for rate in offline.rates] == [0.1, 0.01], "1,200 others resolve 1 %"
    (_, low), (_, begun) = offline.rates, offline.begun
    assert begun.members == 10
    assert begun.tpr > 0.9
    assert low.found >= begun.found
    assert low.tpr == pytest.approx(begun.found / low.members, abs=0.04), "hardly any other member is found"
    assert found.accuracies == [0.9] * SHADOWS


def test_the_recorded_curve_is_that_of_all_targets_together():
    asked = question()
    found = judged_networks("set", "mlp", scored(3.0 * asked.members), asked).result.attacks[0]
    assert found.roc[0][0] == pytest.approx(1 / (SHADOWS * IMAGES / 2), rel=0.1)
    assert found.roc[-1] == (1.0, 1.0)
    assert [tpr for _, tpr in found.roc] == sorted(tpr for _, tpr in found.roc)
    near = min(found.roc, key=lambda point: abs(point[0] - 0.1))
    assert near[1] == pytest.approx(found.rates[0].tpr, abs=0.05)
    assert found.epsilon > 1


def test_each_bound_is_so_sure_that_all_hold_together():
    assert level_of_bounds(networks=2, pairs=4, population=100) == pytest.approx(1 - 0.05 / (3 + 2 * 4))
    assert level_of_bounds(networks=1, pairs=1, population=0) == pytest.approx(1 - 0.05 / 2), "thresholds alone"
    asked = question()
    loose, strict = (
        judged_networks("set", "mlp", scored(3.0 * asked.members), replace(asked, level=level)).result
        for level in (0.95, 0.995)
    )
    assert strict.epsilon < loose.epsilon
    assert {each.epsilon_level for each in strict.attacks} == {0.995}


def test_a_difference_is_measured_on_the_same_samples():
    asked = question()
    more, less = (judged_networks("set", "mlp", scored(gain * asked.members), asked) for gain in (1.0, 0.2))
    for each in differences(more, less):
        assert each.interval[0] > 0
        ours = next(a for a in more.result.attacks if a.attack == each.attack)
        theirs = next(a for a in less.result.attacks if a.attack == each.attack)
        assert each.mean == pytest.approx(ours.auc - theirs.auc)
    assert all(each.error == 0 == each.mean for each in differences(more, more))


def test_a_training_that_failed_leaves_no_result():
    asked = question()
    found = judged_networks("random", "mlp", scored(0.0 * asked.members, failed=[3]), asked)
    assert found.result.failed == "it diverged"
    assert found.result.attacks == []
    assert differences(found, found) == []


def test_copies_of_members_are_found_in_the_sets_themselves():
    real = digits().train.take(torch.arange(IMAGES))
    asked = question(origins=12)
    sets = [SyntheticSet.from_indices(real, torch.from_numpy(row.nonzero()[0])) for row in asked.begun]
    found = judged_sets("set", sets, real, asked).result
    assert [attack.attack for attack in found.attacks] == ["threshold", "lira-offline", "lira-online"], "no population"
    assert all(rate.tpr == 1 for rate in found.attacks[0].begun)
    assert found.finds_members
    assert found.accuracies == []
