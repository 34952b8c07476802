"""Early stopping: a training on the full data with the steps of one on a set, and no image twice before all once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from potstill.engine.trainer import Trainer
from potstill.evaluation import Recipe
from potstill.evaluation.procedures import next_in_passes, on_set, stopped_early
from potstill.evaluation.training import make_trainer
from potstill.networks import RANDOM_WEIGHTS
from potstill.runtime.compute import CPU
from potstill.runtime.streams import Streams
from potstill.selection import random_indices
from potstill.synthetic import SyntheticSet
from tests.small import small_digits

RECIPE = Recipe(
    name="test", summary="", epochs=6, full_epochs=5, batch_size=16, learning_rate=0.05, augmentation="none"
)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 20), st.integers(1, 30), st.integers(0, 6))
def test_turns_follow_each_other_through_shuffled_passes(images: int, count: int, turns: int):
    streams = Streams(0)
    taken = [next_in_passes(images, count, turn, streams) for turn in range(turns + 1)]
    assert all(len(turn) == count for turn in taken)
    for number, whole in enumerate(torch.cat(taken).split(images)):
        assert len(set(whole.tolist())) == len(whole), f"pass {number} shows an image twice"


def test_passes_differ_and_seeds_too():
    one, two = (next_in_passes(50, 50, turn, Streams(0)) for turn in (0, 1))
    assert not one.equal(two)
    assert not one.equal(next_in_passes(50, 50, 0, Streams(1)))


def sets() -> list[SyntheticSet]:
    data = small_digits().train
    plain = SyntheticSet.from_indices(data, random_indices(data, 3, torch.Generator().manual_seed(0)))
    return [plain, replace(plain, formation=2), replace(plain, step_size=torch.tensor(0.02))]


def steps(monkeypatch: pytest.MonkeyPatch, procedure: Any) -> list[tuple[int, ...]]:
    """The size of the batch of every step of a training."""
    seen: list[tuple[int, ...]] = []
    gradients = Trainer.gradients

    def observed(trainer: Trainer, images: torch.Tensor, labels: torch.Tensor, **named: Any) -> Any:
        seen.append(tuple(images.shape))
        return gradients(trainer, images, labels, **named)

    monkeypatch.setattr(Trainer, "gradients", observed)
    trainer = make_trainer("mlp:width=4", small_digits(), CPU)
    procedure.train(trainer, Streams(0), lambda _epoch, _loss: None)
    monkeypatch.undo()
    return seen


@pytest.mark.parametrize("place", range(3), ids=["plain", "formation", "learned rate"])
@pytest.mark.parametrize("learned", [False, True])
def test_it_takes_the_steps_of_the_set(place: int, learned: bool, monkeypatch: pytest.MonkeyPatch):
    synthetic, recipe, data = sets()[place], replace(RECIPE, learned_rate=learned), small_digits()
    ours = on_set(synthetic, recipe, RANDOM_WEIGHTS, data.flips)
    theirs = stopped_early(data.train, synthetic, recipe, RANDOM_WEIGHTS, data.flips)
    assert theirs.epochs == ours.epochs
    assert theirs.varies
    assert steps(monkeypatch, theirs) == steps(monkeypatch, ours)


def test_it_begins_with_the_weights_of_the_training_on_the_set_and_has_its_rates(monkeypatch: pytest.MonkeyPatch):
    schedules = []
    monkeypatch.setattr(Trainer, "fit", lambda trainer, examples, schedule, *given, **named: schedules.append(schedule))
    data = small_digits()
    for synthetic in sets():
        recipe = replace(RECIPE, learned_rate=synthetic.step_size is not None)
        for procedure in (
            on_set(synthetic, recipe, RANDOM_WEIGHTS, data.flips),
            stopped_early(data.train, synthetic, recipe, RANDOM_WEIGHTS, data.flips),
        ):
            procedure.train(make_trainer("mlp:width=4", data, CPU), Streams(0), lambda _epoch, _loss: None)
        assert schedules[-1] == schedules[-2]
    assert schedules[-1].learning_rate == pytest.approx(0.02)


@pytest.mark.parametrize("recipe", [RECIPE, replace(RECIPE, augmentation="siamese"), replace(RECIPE, cutmix=True)])
def test_a_batch_of_all_vectors_varies_by_nothing_as_no_recipe_changes_them(recipe: Recipe):
    few = SyntheticSet.from_indices(small_digits().train, torch.tensor([0]))
    vectors = replace(few, images=few.images.reshape(1, -1, 1, 1))
    assert not on_set(vectors, recipe, RANDOM_WEIGHTS, flips=False).varies
    assert on_set(few, recipe, RANDOM_WEIGHTS, flips=False).varies == (recipe != RECIPE)
