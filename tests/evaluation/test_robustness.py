"""Label and augmentation robust scores: by hand, in fractions, tuned alike, hard and soft apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from potstill.data import ImageDataset
from potstill.engine.trainer import Trainer
from potstill.evaluation import Recipe
from potstill.evaluation import robustness as module
from potstill.evaluation.robustness import measure_robustness
from potstill.runtime.errors import UserError
from potstill.schema.robustness import Robustness
from potstill.selection import random_indices
from potstill.synthetic import SyntheticSet
from potstill.units import Crew
from tests.small import NETWORK, on_cpu, small_digits

RECIPE = Recipe(name="test", summary="", epochs=4, full_epochs=2)
LONGER = replace(RECIPE, epochs=15, full_epochs=1)


def images() -> SyntheticSet:
    data = small_digits().train
    return SyntheticSet.from_indices(data, random_indices(data, 2, torch.Generator().manual_seed(0)))


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
        own = small[3 * place : 3 * place + 3] + small[12 + 2 * place : 14 + 2 * place]
        assert [rate for rate, _, _ in own] == [0.001, 0.05, 0.1, *[found.rates[kind]] * 2]
        assert {augmented for _, augmented, _ in own} == {"augmented" in kind}
    assert found.track == "hard"
    record = found.to_json()
    assert record["label_robust_score"] == found.label_score
    assert 0 < record["augmentation_robust_score"] < 1


def rates_of(data: ImageDataset) -> set[float]:
    robustness = measure_robustness(images(), on_cpu(data), recipe=LONGER, network=NETWORK, repeats=1)
    return set(robustness.rates.values())


@pytest.mark.slow
def test_learning_rates_are_chosen_by_the_validation_and_not_by_the_test_split(monkeypatch: pytest.MonkeyPatch):
    """With these labels the rate that learns nothing does better: whoever chose by them would take it."""
    monkeypatch.setattr(module, "RATES", (1e-6, 0.05))
    data = small_digits()
    wrong = replace(data.test, labels=(data.test.labels + 1) % 10)
    assert rates_of(data) == {0.05}
    assert rates_of(replace(data, test=wrong)) == {0.05}
    assert rates_of(replace(data, validation=wrong)) == {1e-6}


@pytest.mark.parametrize("rates", [(1e-12, 1e-11), (1e-11, 1e-12)])
def test_of_rates_that_do_equally_well_the_first_is_taken(rates: tuple[float, float], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "RATES", rates)
    assert rates_of(small_digits()) == {rates[0]}


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "elsewhere"])
def test_a_training_that_diverges_counts_and_what_is_on_record_is_not_done_again(
    elsewhere: bool, crew: Crew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "RATES", (1e30, 0.05))
    session = on_cpu(small_digits(), executor=crew if elsewhere else "here")
    given: dict[str, Any] = {"recipe": LONGER, "network": NETWORK, "repeats": 1, "record": tmp_path / "robustness.json"}
    found = measure_robustness(images(), session, **given)
    assert set(found.rates.values()) == {0.05}
    (tmp_path / "robustness.json").unlink()
    monkeypatch.setattr(Trainer, "fit", None)  # nothing can be trained any more
    monkeypatch.setattr("potstill.units.crew.work", None)
    assert measure_robustness(images(), session, **given).accuracies == found.accuracies
    assert Robustness.read(tmp_path / "robustness.json").accuracies == found.accuracies
