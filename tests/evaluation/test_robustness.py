"""Label and augmentation robust scores: by hand, in fractions, tuned alike, hard and soft apart."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from potstill.engine.trainer import Trainer
from potstill.evaluation import Recipe
from potstill.evaluation import robustness as module
from potstill.evaluation.robustness import (
    Robustness,
    augmentation_robust_score,
    label_robust_score,
    measure_robustness,
    normalised,
)
from potstill.runtime.errors import UserError
from potstill.selection import random_indices
from potstill.synthetic import SyntheticSet
from tests.small import NETWORK, on_cpu, small_digits

RECIPE = Recipe(name="test", summary="", epochs=4, full_epochs=2)
fractions = st.floats(0, 1)


def images() -> SyntheticSet:
    data = small_digits().train
    return SyntheticSet.from_indices(data, random_indices(data, 2, torch.Generator().manual_seed(0)))


def test_scores_by_hand():
    """HLR = 0.9 - 0.5, IOR = 0.6 - 0.4: alpha = 0.1 - 0.2; (e^-0.1 - e^-1) / (e - e^-1) = 0.22846."""
    assert label_robust_score(full=0.9, synthetic_hard=0.5, synthetic=0.6, random=0.4) == pytest.approx(
        0.22846, abs=1e-5
    )
    # beta = 0.5 * 0.2 + 0.5 * 0.1 = 0.15
    expected = (math.exp(0.15) - math.exp(-1)) / (math.e - math.exp(-1))
    assert augmentation_robust_score(0.6, 0.4, 0.5, 0.4) == pytest.approx(expected)


def test_the_ends_of_the_scale():
    assert normalised(-1) == 0
    assert normalised(1) == pytest.approx(1)
    with pytest.raises(ValueError, match="accuracies are fractions, not percent"):
        normalised(20.0)


@given(fractions, fractions, fractions, fractions)
def test_scores_of_fractions_are_fractions(a: float, b: float, c: float, d: float):
    assert 0 <= label_robust_score(a, b, c, d) <= 1 + 1e-12
    assert 0 <= augmentation_robust_score(a, b, c, d) <= 1 + 1e-12


def measured(synthetic: SyntheticSet, **options: Any) -> Robustness:
    given = {"recipe": RECIPE, "network": NETWORK, "repeats": 2} | options
    return measure_robustness(synthetic, on_cpu(small_digits()), **given)


@pytest.fixture
def three_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RATES", (0.001, 0.05, 0.1))


@pytest.mark.usefixtures("three_rates")
def test_set_and_random_images_are_tuned_and_measured_alike(monkeypatch: pytest.MonkeyPatch):
    heard: list[tuple[float, bool, int]] = []
    fit = Trainer.fit

    def listening(trainer: Trainer, examples: Any, schedule: Any, *rest: Any, **named: Any) -> None:
        heard.append((schedule.learning_rate, schedule.augmentation is not None, len(examples)))
        fit(trainer, examples, schedule, *rest, **named)

    monkeypatch.setattr(Trainer, "fit", listening)
    found = measured(images())
    kinds = ["synthetic augmented", "random augmented", "synthetic plain", "random plain"]
    assert list(found.accuracies) == kinds
    assert [len(values) for values in found.accuracies.values()] == [2, 2, 2, 2]
    small = [entry for entry in heard if entry[2] == 20]
    assert len(small) == 4 * (3 + 2), "three rates are tried once, and the best is repeated"
    for place, kind in enumerate(kinds):
        own = small[5 * place : 5 * place + 5]
        assert [rate for rate, _, _ in own] == [0.001, 0.05, 0.1, *[found.rates[kind]] * 2]
        assert {augmented for _, augmented, _ in own} == {"augmented" in kind}
    assert found.track == "hard"
    record = found.to_json()
    assert record["label_robust_score"] == found.label_score
    assert 0 < record["augmentation_robust_score"] < 1


@pytest.mark.usefixtures("three_rates")
def test_learning_rates_are_chosen_without_the_test_split():
    data = small_digits()
    poisoned = replace(data, test=replace(data.test, labels=(data.test.labels + 1) % 10))
    rates = [
        measure_robustness(images(), on_cpu(some), recipe=RECIPE, network=NETWORK, repeats=1).rates
        for some in (data, poisoned)
    ]
    assert rates[0] == rates[1]


@pytest.mark.usefixtures("three_rates")
def test_soft_labels_have_a_track_of_their_own_and_are_also_measured_hard():
    hard = images()
    soft = replace(hard, labels=0.9 * torch.nn.functional.one_hot(hard.labels, 10).float() + 0.01)
    found = measured(soft)
    assert found.track == "soft"
    assert "synthetic hard" in found.accuracies
    assert "synthetic hard" not in measured(hard).accuracies


def test_without_validation_images_nothing_can_be_tuned():
    data = small_digits()
    none = replace(data, validation=data.validation.take(torch.tensor([], dtype=torch.int64)))
    with pytest.raises(UserError, match="no validation images to tune learning rates on"):
        measure_robustness(images(), on_cpu(none), recipe=RECIPE, network=NETWORK)
