"""Units are values: equal ones have equal keys, and any process can make them from their description."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potstill.evaluation import RECIPES
from potstill.evaluation.training import TrainAndTest
from potstill.units.unit import described, unit_from
from tests.units.toys import Squaring

UNIT = TrainAndTest(
    dataset="5f" * 32,
    images="c0" * 32,
    network="convnet",
    recipe=RECIPES["tuned-300"],
    initial={"source": "random", "seed": 0, "scheme": "kaiming"},
    seed=3,
    stream=("evaluation", "repeat", 2),
    repeat=2,
    learning_rate=0.001,
)
OTHER: dict[str, Any] = {
    "dataset": "60" * 32,
    "images": "random",
    "images_per_class": 7,
    "like": "c0" * 32,
    "network": "mlp",
    "recipe": RECIPES["quick"],
    "epochs": 4,
    "initial": {"source": "fixed", "seed": 0, "scheme": "kaiming"},
    "repeat": 1,
    "seed": 4,
    "stream": ("evaluation", "repeat", 1),
    "learning_rate": None,
    "judged_by": "validation",
    "diverging": "counts",
}


def through_json(unit: Any) -> Any:
    return unit_from(json.loads(json.dumps(described(unit))))


@given(
    number=st.integers(-(10**9), 10**9),
    images=st.sampled_from(["full", "random", "none", "ab" * 32]),
    stream=st.lists(st.text(max_size=5) | st.integers(0, 9), min_size=1).map(tuple),
    rate=st.none() | st.floats(0, 10),
)
def test_a_unit_is_the_same_after_it_was_sent(
    number: int, images: str, stream: tuple[str | int, ...], rate: float | None
):
    unit = replace(UNIT, seed=number, images=images, stream=stream, learning_rate=rate)
    again = through_json(unit)
    assert again == unit
    assert again.key == unit.key


def test_every_field_belongs_to_the_key():
    assert set(OTHER) == {field.name for field in fields(UNIT)}
    keys = {UNIT.key, *(replace(UNIT, **{name: value}).key for name, value in OTHER.items())}
    assert len(keys) == len(OTHER) + 1


def test_units_of_different_classes_differ():
    class Cubing(Squaring):
        pass

    assert Squaring(number=2).key != Cubing(number=2).key


def test_a_key_does_not_depend_on_the_process():
    assert Squaring(number=3).key == "8723ae53470214dc263d3416be9ed2b959fadfb41a8f3c5dc816ce3aa4f5e896"


@pytest.mark.parametrize("field", ["dataset", "recipe", "stream"])
def test_a_description_that_lacks_something_is_no_unit(field: str):
    description = described(UNIT)
    del description[field]
    with pytest.raises(Exception, match=f"{field} is missing"):
        unit_from(description)
