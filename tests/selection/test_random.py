"""Random images of each class, and the best of many random choices."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from potstill.data import LabeledImages
from potstill.engine.schedule import Schedule
from potstill.engine.trainer import Trainer
from potstill.experts.feature_source import Pixels
from potstill.methods.coresets import OptimisedRandom
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams
from potstill.selection import SELECTIONS, random, random_indices
from potstill.selection.random import optimised_random
from tests.experts.sources import trained
from tests.small import digits, few, small_digits


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.integers(1, 12), st.integers(0, 1000))
def test_chooses_different_images_of_each_class_in_order(images_per_class: int, seed: int):
    real = few(digits().train, (12, 40, 13))
    indices = random_indices(real, images_per_class, generator(seed))
    assert indices.dtype == torch.int64
    assert len(indices.unique()) == 3 * images_per_class
    assert real.labels[indices].tolist() == sorted([0, 1, 2] * images_per_class)


def test_a_seed_chooses_and_another_chooses_otherwise():
    first, again, other = (random_indices(digits().train, 5, generator(seed)) for seed in (0, 0, 1))
    assert first.equal(again)
    assert not first.equal(other)


def test_a_class_with_too_few_images_is_named():
    real = few(digits().train, (4, 3, 4))
    assert random_indices(real, 3, generator()).shape == (9,)
    with pytest.raises(UserError, match=r"has 3 training images, fewer than 4 per class; use `ipc=3` or less$"):
        random_indices(real, 4, generator())


def test_optimised_random_keeps_the_choice_whose_network_judges_best(monkeypatch: pytest.MonkeyPatch):
    tried: list[Tensor] = []
    right = [2, 9, 9, 4]
    monkeypatch.setattr(Trainer, "fit", lambda _, images, *given: tried.append(images.images))

    def predict(_: Trainer, judged: LabeledImages) -> Tensor:
        answers = judged.labels.clone()
        answers[right[len(tried) - 1] :] += 1
        return answers

    monkeypatch.setattr(Trainer, "predict", predict)
    real = few(digits().train, (20, 20))
    indices = optimised_random(trained(real), 2, Streams(0), tries=4)
    assert real.images[indices].equal(tried[1])
    assert not tried[1].equal(tried[2])


def test_optimised_random_needs_an_image_to_judge_by(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(random, "SCHEDULE", Schedule(epochs=1))
    real = small_digits(train=4).train
    assert len(SELECTIONS["optimised-random"].images(trained(real), 3, Streams(0))) == 30
    with pytest.raises(UserError, match=r"class '0' has 4 images: choosing 4 leaves none .*use `ipc=3` or less"):
        SELECTIONS["optimised-random"].images(trained(real), 4, Streams(0))
    with pytest.raises(UserError, match=r"class '1' has 1 images.*needs two images per class"):
        SELECTIONS["optimised-random"].images(trained(few(digits().train, (3, 1, 2))), 1, Streams(0))


def test_optimised_random_tries_as_often_as_asked(monkeypatch: pytest.MonkeyPatch):
    fits: list[object] = []
    fit = Trainer.fit
    monkeypatch.setattr(Trainer, "fit", lambda *given, **named: fits.append(given) or fit(*given, **named))
    real = few(digits().train, (4, 4))
    OptimisedRandom(tries=3).selection().images(trained(real), 1, Streams(0))
    assert len(fits) == 3


def test_optimised_random_trains_networks_which_pixels_have_none_of():
    with pytest.raises(UserError, match="these features provide no network to train; use `features=trained`"):
        SELECTIONS["optimised-random"].images(Pixels(small_digits().train), 1, Streams(0))
