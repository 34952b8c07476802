"""What networks are trained on: of a formation its pictures, for as many steps as its stored images take."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from potstill.engine.trainer import Trainer
from potstill.evaluation import find_recipe
from potstill.evaluation.procedures import images_in_training, on_set
from potstill.evaluation.robustness import _specs
from potstill.evaluation.series import TrainingSpec
from potstill.evaluation.specs import trained_on_real, trained_on_set, training_on
from potstill.evaluation.training import TrainAndTest
from potstill.networks import InitialWeights
from potstill.runtime.compute import CPU
from potstill.synthetic import enlarged
from potstill.synthetic.export import export
from potstill.units import Materials, Workplace
from tests.small import NETWORK, problem, small_digits

RECIPE = replace(find_recipe("quick"), epochs=40, batch_size=20)
FORMED = problem(ipc=2, formation=2).start
RANDOM = InitialWeights("random")


class Heard(Exception):
    """Ends a training before it begins, with what it was given."""

    def __init__(self, images: Tensor, epochs: int) -> None:
        self.images, self.epochs = images, epochs


@pytest.fixture
def workplace(monkeypatch: pytest.MonkeyPatch) -> Workplace:
    def fit(_: Trainer, examples: Any, schedule: Any, *__: Any, **___: Any) -> None:
        raise Heard(examples.normalised(), schedule.epochs)

    monkeypatch.setattr(Trainer, "fit", fit)
    return Workplace(Materials(), CPU)


@pytest.fixture
def base(workplace: Workplace) -> TrainAndTest:
    return training_on(small_digits(), workplace, RECIPE, seed=0)


def heard(spec: TrainingSpec, workplace: Workplace) -> Heard:
    with pytest.raises(Heard) as found:
        spec.repeat(NETWORK, 0, None).run(workplace)
    return found.value


def test_a_network_sees_every_picture_in_full_size_and_takes_no_more_steps(base: TrainAndTest, workplace: Workplace):
    found = heard(trained_on_set(base, workplace, FORMED, repeats=1), workplace)
    assert found.images.equal(enlarged(FORMED.images, 2))
    # 20 stored images are one batch, their 80 pictures four
    assert found.epochs == on_set(FORMED, RECIPE, RANDOM, flips=False).epochs == 10


def test_the_work_is_counted_in_the_pictures_that_networks_see():
    assert images_in_training(RECIPE, 20, FORMED.pictures) == 10 * 80
    assert images_in_training(RECIPE, 20, 20) == 40 * 20


@pytest.mark.parametrize("name", ["random", "average"])
def test_real_images_in_its_place_are_as_many_as_are_stored_and_get_the_whole_recipe(
    name: str, base: TrainAndTest, workplace: Workplace
):
    found = heard(trained_on_real(name, base, workplace, FORMED, repeats=1), workplace)
    assert found.images.shape == (20, 1, 8, 8)
    assert found.epochs == 40


def test_robust_scores_train_on_the_same(base: TrainAndTest, workplace: Workplace):
    specs = {spec.trained_on: spec for spec in _specs(workplace, base, FORMED, NETWORK, repeats=1, full_epochs=1)}
    for how in ("augmented", "plain"):
        on_pictures, on_random = (heard(specs[f"{what} {how}"], workplace) for what in ("synthetic", "random"))
        assert on_pictures.images.equal(enlarged(FORMED.images, 2))
        assert on_pictures.epochs == 10
        assert on_random.images.shape == (20, 1, 8, 8)
        assert on_random.epochs == 40


def test_an_export_holds_every_picture(tmp_path: Path):
    with np.load(export(FORMED, tmp_path / "set.npz", "npz")) as arrays:
        assert np.array_equal(arrays["images_normalised"], enlarged(FORMED.images, 2).numpy())
        assert arrays["train_labels"].shape == (80, 1)
