"""What chooses checkpoints: the validation split, never the test split."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch

from potstill.data import ImageDataset
from potstill.distillation import validation
from potstill.distillation.checkpoint import Checkpoint
from potstill.distillation.driver import distill
from potstill.distillation.plan import resolve
from potstill.distillation.starts import make_start
from potstill.distillation.validation import Validation
from potstill.evaluation import Recipe, validation_accuracy
from tests.runs import SETTINGS, dataset

__all__ = ["dataset"]


def test_validation_never_sees_the_test_split(dataset: ImageDataset, monkeypatch: pytest.MonkeyPatch):
    recipe = Recipe(name="toy", summary="", epochs=40, full_epochs=1, learning_rate=0.1)
    monkeypatch.setattr(validation, "validation_accuracy", partial(validation_accuracy, recipe=recipe))
    no_test = replace(dataset, test=dataset.test.take(torch.tensor([], dtype=torch.int64)))
    settings = replace(SETTINGS, iterations=1, validate_every=1)
    accuracies: list[list[float]] = []
    for given in (dataset, no_test):
        heard: list[float] = []
        accuracies.append(heard)
        distill(settings, given, listen=lambda event, fields, heard=heard: heard.append(fields.get("accuracy", -1)))
    assert accuracies[0] == accuracies[1]
    assert 0.1 < max(accuracies[0]) <= 1


@pytest.mark.parametrize(
    ("every", "iterations", "expected"), [(2, 5, [2, 4, 5]), (3, 6, [3, 6]), (0, 3, []), (9, 2, [2])]
)
def test_sets_are_judged_every_so_many_iterations_and_at_the_end(
    every: int, iterations: int, expected: list[int], dataset: ImageDataset
):
    judge = Validation(resolve(replace(SETTINGS, validate_every=every, iterations=iterations), dataset), dataset)
    stages = [Checkpoint(state={}, iteration=iteration) for iteration in range(1, iterations + 1)]
    assert [now.iteration for now in stages if judge.due(now)] == expected
    assert not any(judge.due(replace(now, validated=now.iteration)) for now in stages)


def test_nothing_is_judged_without_a_validation_split(dataset: ImageDataset):
    empty = replace(dataset, validation=dataset.validation.take(torch.tensor([], dtype=torch.int64)))
    assert not Validation(resolve(SETTINGS, empty), empty).due(Checkpoint(state={}, iteration=2))


def test_all_sets_are_judged_from_the_same_weights(dataset: ImageDataset):
    plan = resolve(SETTINGS, dataset)
    judge, synthetic = Validation(plan, dataset), make_start(plan, dataset)
    assert judge.accuracy(synthetic) == judge.accuracy(synthetic)
