"""What networks are trained on if a set has a formation: its pictures, for as many steps as its stored images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from potstill.evaluation import find_recipe
from potstill.evaluation.robustness import _specs
from potstill.evaluation.specs import images_in_training, on_real, on_set
from potstill.evaluation.training import Repeat, Trainings, TrainingSpec
from potstill.networks import InitialWeights
from potstill.runtime.compute import CPU
from potstill.runtime.progress import silent
from potstill.runtime.streams import Streams
from potstill.synthetic import enlarged
from potstill.synthetic.export import export
from tests.small import problem, small_digits

RECIPE = replace(find_recipe("quick"), epochs=40, batch_size=20)
FORMED = problem(ipc=2, formation=2).start
RANDOM = InitialWeights("random")


class Listening:
    """A trainer that keeps what it is given instead of training."""

    images: Tensor
    epochs: int

    def fit(self, examples: Any, schedule: Any, streams: Streams, **_: Any) -> None:
        self.images, self.epochs = examples.normalised(), schedule.epochs


def heard(spec: TrainingSpec) -> Listening:
    trainer: Any = Listening()
    spec.train(trainer, Repeat(0, Streams(0)), lambda _epoch, _loss: None, None)
    return trainer


@pytest.fixture
def trainings() -> Trainings:
    return Trainings(small_digits(), CPU, Streams(0), silent)


def test_a_network_sees_every_picture_in_full_size_and_takes_no_more_steps():
    spec = on_set(FORMED, RECIPE, RANDOM, flips=False, repeats=1)
    assert heard(spec).images.equal(enlarged(FORMED.images, 2))
    # 20 stored images are one batch, their 80 pictures four
    assert spec.epochs == heard(spec).epochs == 10


def test_the_work_is_counted_in_the_pictures_that_networks_see():
    assert images_in_training(RECIPE, 20, FORMED.pictures) == 10 * 80
    assert images_in_training(RECIPE, 20, 20) == 40 * 20


def test_real_images_in_its_place_are_as_many_as_are_stored_and_get_the_whole_recipe(trainings: Trainings):
    spec = on_real("random", trainings, FORMED, RECIPE, RANDOM, repeats=1)
    assert heard(spec).images.shape == (20, 1, 8, 8)
    assert spec.epochs == heard(spec).epochs == 40


def test_robust_scores_train_on_the_same(trainings: Trainings):
    specs = _specs(trainings, FORMED, RECIPE, 1, None)
    for how in ("augmented", "plain"):
        assert heard(specs[f"synthetic {how}"]).images.equal(enlarged(FORMED.images, 2))
        assert heard(specs[f"synthetic {how}"]).epochs == 10
        assert heard(specs[f"random {how}"]).images.shape == (20, 1, 8, 8)
        assert heard(specs[f"random {how}"]).epochs == 40


def test_an_export_holds_every_picture(tmp_path: Path):
    with np.load(export(FORMED, tmp_path / "set.npz", "npz")) as arrays:
        assert np.array_equal(arrays["images_normalised"], enlarged(FORMED.images, 2).numpy())
        assert arrays["train_labels"].shape == (80, 1)
