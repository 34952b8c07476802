"""How networks were trained, in words: what was done, and nothing that was not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from potstill.evaluation import RECIPES, find_recipe
from potstill.report.comparison import render
from potstill.report.protocol import Trained, protocol, training_of
from potstill.schema.comparison import Comparison
from potstill.schema.recipe import Recipe

SEVEN_EPOCHS = Trained(epochs=[7])


def told(recipe: Recipe, on_set: Trained = SEVEN_EPOCHS, on_full: Sequence[int] = ()) -> dict[str, str]:
    return dict(protocol(recipe, on_set, Trained(epochs=on_full, images=54_000)))


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_recipe_is_told_in_words_and_not_as_its_fields(recipe: Recipe) -> None:
    rows = told(recipe, on_full=[9])
    words = "; ".join(rows.values())
    assert "False" not in words
    assert "True" not in words
    assert not any(name in words for name in Recipe.__dataclass_fields__ if "_" in name)
    assert rows["training on the set"].startswith("7 "), "the number of the results, not the recipe's"
    assert rows["training on the full data"].startswith("9 epochs of"), "the number of the results, not the recipe's"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("idc-1000", "learning rate 0.01, cut to a fifth after two thirds and again after five sixths; momentum 0.9"),
        ("idc-1000", "mirroring and colours, and a shift, a scale or a rotation and CutMix of 50"),
        ("ncfm-2000", "learning rate 0.001, cut to half after each fifth"),
        ("replay", "7 passes over the set: the steps that the set was distilled for, in their order"),
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
    assert words in told(find_recipe(name))["training on the set"]


def test_trainings_that_were_not_done_are_not_spoken_of() -> None:
    assert list(told(find_recipe("quick"), Trained(epochs=[]))) == ["recipe"]
    assert list(told(find_recipe("quick"))) == ["recipe", "training on the set"]
    assert told(find_recipe("quick"), on_full=[50, 5, 50])["training on the full data"].startswith("5 or 50 epochs of")
    assert told(find_recipe("quick"), on_full=[1])["training on the full data"].startswith("1 epoch of")


def test_a_set_of_one_batch_has_no_batches() -> None:
    on_set = told(find_recipe("quick"), Trained(epochs=[7], images=256))["training on the set"]
    assert on_set.startswith("7 epochs of SGD in steps on all images at once; learning rate 0.01")
    assert "batches of 256" in told(find_recipe("quick"), Trained(epochs=[7], images=257))["training on the set"]


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ([0.023456], "the set's own learning rate 0.02346, cut"),
        ([None], "; learning rate 0.01, cut"),
        ([None, 0.02], "the set's own learning rate, or 0.01 if it has none"),
    ],
)
def test_the_learning_rate_is_the_one_that_was_used(sizes: list[float | None], words: str) -> None:
    recipe = find_recipe("trajectory-1000")
    rows = told(recipe, Trained(epochs=[7], step_sizes=sizes), on_full=[9])
    assert words in rows["training on the set"]
    assert "learning rate 0.01, cut" in rows["training on the full data"]


def test_adamw_has_no_momentum() -> None:
    assert "momentum" not in told(replace(find_recipe("modern"), momentum=0.9))["training on the set"]


def test_a_comparison_of_an_older_version_has_its_page() -> None:
    record = Comparison.read(Path(__file__).parents[2] / "records" / "mnist-comparison" / "comparison.json")
    assert record.seed is None
    assert "not recorded" in render(record)


def test_vectors_are_said_not_to_be_augmented():
    augmented, plain = find_recipe("quick"), find_recipe("probe-1000")
    assert training_of(augmented, "vector") == f"{augmented.summary}; vectors are not augmented"
    assert training_of(augmented, "image") == augmented.summary
    assert training_of(plain, "vector") == plain.summary
