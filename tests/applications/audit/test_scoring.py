"""Trainings with their scores as units of work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from potstill.applications.audit.scoring import Scored, TrainAndScore, packed, unpacked
from potstill.evaluation import Recipe
from potstill.evaluation.procedures import on_set
from potstill.evaluation.training import make_trainer
from potstill.networks import RANDOM_WEIGHTS
from potstill.runtime.compute import CPU
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams
from potstill.schema.fields import Fields
from potstill.synthetic import SyntheticSet
from potstill.units import Materials, Workplace
from tests.small import small_digits

RECIPE = Recipe(name="test", summary="", epochs=20, full_epochs=5, learning_rate=0.05, augmentation="none")
NETWORK = "mlp:width=16"


def unit(workplace: Workplace, **changes: object) -> TrainAndScore:
    data = small_digits()
    chosen = SyntheticSet.from_indices(data.train, torch.cat([members[:2] for members in data.train.class_index]))
    made = TrainAndScore(
        dataset=workplace.materials.add(data),
        images=workplace.materials.add(chosen),
        population=7,
        network=NETWORK,
        recipe=RECIPE,
        initial=RANDOM_WEIGHTS.to_json(),
        seed=3,
        stream=("audit", "training", 0),
    )
    return replace(made, **changes)  # pyright: ignore[reportArgumentType]


def test_scores_are_those_of_a_network_trained_on_the_set():
    workplace = Workplace(Materials(), CPU)
    made = unit(workplace)
    found, data = made.run(workplace), small_digits()
    trainer = make_trainer(NETWORK, data, CPU)
    chosen = workplace.synthetic(made.images)
    on_set(chosen, RECIPE, RANDOM_WEIGHTS, data.flips).train(trainer, Streams(3, made.stream), lambda *_: None)
    with torch.no_grad():
        logits = trainer.network(data.train.normalised()).double()
    probability = logits.softmax(1).gather(1, data.train.labels[:, None])[:, 0]
    expected = (probability / (1 - probability)).log()
    assert unpacked(found.pool) == pytest.approx(expected.numpy(), abs=1e-3)
    assert len(unpacked(found.population)) == 7
    assert 0 <= found.accuracy <= 1
    assert found.seconds > 0
    assert "cpu" in found.made_on


def test_equal_units_have_the_same_bits():
    first, second = (unit(workplace).run(workplace) for workplace in (Workplace(Materials(), CPU) for _ in range(2)))
    assert (first.pool, first.population) == (second.pool, second.population)
    other = unit(workplace := Workplace(Materials(), CPU), stream=("audit", "training", 1)).run(workplace)
    assert other.pool != first.pool


def test_a_training_that_diverges_is_a_result():
    workplace = Workplace(Materials(), CPU)
    found = unit(workplace, recipe=replace(RECIPE, learning_rate=1e9)).run(workplace)
    assert found.failed is not None
    assert "diverged" in found.failed
    assert not unit(workplace).is_final(found)


def test_scores_take_little_room():
    scores = torch.linspace(-30, 30, 3000, dtype=torch.float64)
    text = packed(scores)
    assert len(text) == 3000 * 16 / 3
    assert unpacked(text) == pytest.approx(scores.numpy(), rel=1e-6)
    assert unpacked("").shape == (0,)


@pytest.mark.parametrize("text", ["no base64!", "AAA=", packed(torch.tensor([np.nan]).double())])
def test_damaged_scores_are_named(text: str):
    values = replace(Scored(), pool=packed(torch.zeros(3).double())).to_json()
    assert Scored.from_json(Fields(Path("log"), values)).pool == values["pool"]
    with pytest.raises(UserError, match="log: pool is not a list of numbers, packed"):
        Scored.from_json(Fields(Path("log"), values | {"pool": text}))
