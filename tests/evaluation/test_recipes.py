"""Recipes are frozen: whoever changes a value here must give it a new version."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, asdict
from typing import Any

import pytest

from potstill.evaluation import RECIPES, find_recipe, training_schedule
from potstill.runtime.errors import UserError

SGD = {"batch_size": 256, "optimiser": "sgd", "learning_rate": 0.01, "momentum": 0.9, "weight_decay": 5e-4}
PLAIN = {
    **SGD,
    "decay": "cut",
    "cutmix": False,
    "cutmix_probability": 1.0,
    "ema_decay": 0.0,
    "learned_rate": False,
    "learning_rate_grid": (),
    "replay": False,
}

FROZEN: dict[str, dict[str, Any]] = {
    "replay@1": {**PLAIN, "epochs": 1, "full_epochs": 20, "augmentation": "none", "replay": True},
    "quick@1": {**PLAIN, "epochs": 200, "full_epochs": 20, "augmentation": "siamese"},
    "coursework-50@1": {**PLAIN, "epochs": 50, "full_epochs": 50, "augmentation": "none"},
    "dc-300@1": {**PLAIN, "epochs": 300, "full_epochs": 50, "augmentation": "none"},
    "dc-1000@1": {**PLAIN, "epochs": 1000, "full_epochs": 50, "augmentation": "condensation"},
    "dsa-1000@1": {**PLAIN, "epochs": 1000, "full_epochs": 50, "augmentation": "siamese"},
    "probe-1000@1": {**PLAIN, "epochs": 1000, "full_epochs": 50, "augmentation": "none"},
    "datadam-1800@1": {**PLAIN, "epochs": 1800, "full_epochs": 50, "augmentation": "siamese"},
    "trajectory-1000@1": {
        **PLAIN,
        "epochs": 1000,
        "full_epochs": 50,
        "augmentation": "siamese",
        "learned_rate": True,
    },
    "soft-label@1": {
        **PLAIN,
        "epochs": 1000,
        "full_epochs": 50,
        "augmentation": "siamese",
        "learned_rate": True,
        "ema_decay": 0.995,
    },
    "idc-1000@1": {
        **PLAIN,
        "epochs": 1000,
        "full_epochs": 50,
        "batch_size": 64,
        "decay": "two-cuts",
        "augmentation": "strong",
        "cutmix": True,
        "cutmix_probability": 0.5,
    },
    "idc-1000-digits@1": {
        **PLAIN,
        "epochs": 1000,
        "full_epochs": 50,
        "batch_size": 64,
        "decay": "two-cuts",
        "augmentation": "strong",
    },
    "ncfm-2000@1": {
        **PLAIN,
        "epochs": 2000,
        "full_epochs": 50,
        "batch_size": 128,
        "optimiser": "adamw",
        "learning_rate": 1e-3,
        "weight_decay": 0.01,
        "decay": "halvings",
        "augmentation": "strong",
        "cutmix": True,
        "cutmix_probability": 0.5,
    },
    "modern@1": {
        **PLAIN,
        "epochs": 1000,
        "full_epochs": 50,
        "augmentation": "siamese",
        "optimiser": "adamw",
        "learning_rate": 1e-3,
        "weight_decay": 0.01,
        "decay": "cosine",
        "cutmix": True,
    },
    "tuned-300@2": {
        **PLAIN,
        "epochs": 300,
        "full_epochs": 50,
        "augmentation": "siamese",
        "optimiser": "adamw",
        "learning_rate": 1e-3,
        "learning_rate_grid": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2),
        "weight_decay": 0.01,
        "decay": "cosine",
    },
}


def test_every_recipe_is_frozen_here():
    assert {recipe.label for recipe in RECIPES.values()} == set(FROZEN)


@pytest.mark.parametrize("label", FROZEN)
def test_values_are_what_they_were(label: str):
    recipe = find_recipe(label)
    values = asdict(recipe)
    assert values.pop("summary")
    name, version = label.split("@")
    assert values == {"name": name, "version": int(version), **FROZEN[label]}
    with pytest.raises(FrozenInstanceError):
        recipe.epochs = 1  # type: ignore[misc]


def test_found_with_and_without_version():
    assert find_recipe("quick") is find_recipe("quick@1")


@pytest.mark.parametrize("name", ["quik", "quick@2", "quick@", "", "dsa-1000@1@1"])
def test_unknown_recipes_are_refused(name: str):
    with pytest.raises(UserError, match="unknown recipe"):
        find_recipe(name)


def test_a_misspelt_recipe_is_guessed():
    with pytest.raises(UserError, match=r"unknown recipe 'quik'; did you mean 'quick'\? see potstill list recipes"):
        find_recipe("quik")


def test_schedule_of_the_dsa_recipe():
    schedule = training_schedule(find_recipe("dsa-1000"), flips=True)
    assert (schedule.epochs, schedule.cut_epoch) == (1000, 501)
    assert {name: getattr(schedule, name) for name in SGD} == SGD
    assert schedule.augmentation is not None
    assert schedule.augmentation.operations == ("color", "crop", "cutout", "flip", "scale", "rotate")
    assert not schedule.augmentation.sequence


def test_digits_are_not_mirrored():
    augmentation = training_schedule(find_recipe("dsa-1000"), flips=False).augmentation
    assert augmentation is not None
    assert "flip" not in augmentation.operations


def test_full_data_is_passed_over_fewer_times():
    recipe = find_recipe("dc-300")
    assert training_schedule(recipe, flips=True, full=True).epochs == 50
    assert training_schedule(recipe, flips=True, full=True).cut_epoch == 26
    assert training_schedule(recipe, flips=True, full=True, epochs=7).epochs == 7
    assert training_schedule(recipe, flips=True).augmentation is None


def test_digits_of_the_dc_paper_are_shifted_scaled_and_turned_each_in_its_own_way():
    schedule = training_schedule(find_recipe("dc-1000"), flips=True)
    assert schedule.augmentation is not None
    assert schedule.augmentation.operations == ("crop", "scale", "rotate")
    assert schedule.augmentation.rotation == 45
    assert not schedule.one_operation


def test_a_learned_rate_is_taken_where_the_recipe_says_so():
    rates = [
        training_schedule(find_recipe(name), flips=True, step_size=0.02).learning_rate
        for name in ("dsa-1000", "soft-label")
    ]
    assert rates == [0.01, 0.02]
    assert training_schedule(find_recipe("soft-label"), flips=True).learning_rate == 0.01


def test_rates_of_the_idc_recipe_fall_to_a_fifth_after_two_thirds_and_after_five_sixths():
    schedule = training_schedule(find_recipe("idc-1000"), flips=True)
    rates = [schedule.rate(epoch) for epoch in (0, 665, 666, 832, 833, 999)]
    assert rates == pytest.approx([0.01, 0.01, 0.002, 0.002, 0.0004, 0.0004])


def test_rates_of_the_ncfm_recipe_fall_to_half_after_each_fifth():
    schedule = training_schedule(find_recipe("ncfm-2000"), flips=True)
    rates = [schedule.rate(epoch) for epoch in (0, 399, 400, 800, 1200, 1599, 1600, 1999)]
    assert rates == pytest.approx([1e-3 * share for share in (1, 1, 1 / 2, 1 / 4, 1 / 8, 1 / 8, 1 / 16, 1 / 16)])


@pytest.mark.parametrize("flips", [True, False])
def test_strong_augmentation_always_changes_colours_and_mirrors_where_it_may(flips: bool):
    augmentation = training_schedule(find_recipe("idc-1000"), flips=flips).augmentation
    assert augmentation is not None
    assert augmentation.always == (("flip", "color") if flips else ("color",))
    assert augmentation.operations == ("crop", "scale", "rotate")


def test_a_recorded_recipe_names_a_probability_of_cutmix_only_if_it_is_not_one():
    assert "cutmix_probability" not in find_recipe("modern").to_json()
    assert find_recipe("idc-1000").to_json()["cutmix_probability"] == 0.5
