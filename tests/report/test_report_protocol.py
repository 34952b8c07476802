"""How networks were trained, in words: what was done, and nothing that was not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from potstill.evaluation import RECIPES, find_recipe
from potstill.report.comparison import render
from potstill.report.protocol import protocol
from potstill.schema.comparison import Comparison
from potstill.schema.recipe import Recipe


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipe_is_told_in_words_and_not_as_its_fields(recipe: Recipe) -> None:
    told = "; ".join(value for _, value in protocol(recipe, [7]))
    assert "False" not in told
    assert "True" not in told
    assert not any(name in told for name in Recipe.__dataclass_fields__ if "_" in name)
    assert dict(protocol(recipe, [7]))["training on the full data"].startswith("7 epochs of"), "not the recipe's number"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("replay", "the steps that the set was distilled for, in their order"),
        ("trajectory-1000", "the set's own learning rate, or 0.01 if it has none"),
        ("soft-label", "an exponential average of the weights (decay 0.995)"),
        ("modern", "AdamW in batches of 256; learning rate 0.001, decaying to zero along half a cosine"),
        ("modern", "Siamese augmentation and CutMix"),
        (
            "tuned-300",
            "the learning rate among 0.0001, 0.0003, 0.001, 0.003, 0.01 with the highest validation accuracy",
        ),
        ("dc-1000", "shifted, scaled and rotated images"),
        ("dc-300", "no augmentation"),
    ],
)
def test_what_tells_a_recipe_apart_is_said(name: str, words: str) -> None:
    assert words in dict(protocol(find_recipe(name), []))["training on the set"]


def test_without_trainings_on_the_full_data_none_is_spoken_of() -> None:
    assert [name for name, _ in protocol(find_recipe("quick"), [])] == ["recipe", "training on the set"]
    assert dict(protocol(find_recipe("quick"), [50, 5, 50]))["training on the full data"].startswith(
        "5 or 50 epochs of"
    )


def test_adamw_has_no_momentum() -> None:
    assert "momentum" not in protocol(replace(find_recipe("modern"), momentum=0.9), [])[1][1]


def test_a_comparison_of_an_older_version_has_its_page() -> None:
    record = Comparison.read(Path(__file__).parents[2] / "records" / "mnist-comparison" / "comparison.json")
    assert record.seed is None
    assert "not recorded" in render(record)
