"""A step on stored images is the step on their pictures, led back; Adam replaces SGD in every matching method."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from potstill.distillation.checkpoint import Checkpoint
from potstill.methods import METHODS
from potstill.methods.state import Adam
from potstill.runtime import memory_limit
from potstill.synthetic.formation import pulled_back
from tests.methods.test_conformance import case_of
from tests.small import problem

MATCHING = sorted(
    name
    for name, kind in METHODS.items()
    if {"optimiser", "learning_rate", "momentum"} <= {each.name for each in fields(kind)}
)


ONE_STEP = {"calibration": 0.0, "clamp": False, "optimiser": "sgd"}
"""Settings with which a method takes one step of SGD in an iteration, and does nothing else to the pixels."""


def made(name: str, **options: object) -> Any:
    method = case_of(name, "").make()
    one_step = {setting: value for setting, value in ONE_STEP.items() if hasattr(method, setting)}
    return replace(method, **{**one_step, **options})


def test_every_matching_method_has_a_choice_of_optimisers():
    assert MATCHING == ["atom", "dance", "datadam", "datm", "dc", "dm", "dsa", "idc", "mtt", "ncfm", "pad", "tesla"]


@pytest.mark.parametrize("name", ["dc", "dm"])
def test_classes_that_a_step_leaves_out_get_no_gradient_and_all_have_their_turn(name: str):
    given, method = problem(ipc=2), made(name, classes_per_step=3, momentum=0.0)
    state, turns = method.prepare(given), torch.zeros(10, dtype=torch.int64)
    for iteration in range(12):
        after, _ = method.step(given, state, iteration)
        moved = (after["images"] != state["images"]).unflatten(0, (10, 2)).flatten(2).any(2)
        assert (moved.all(1) == moved.any(1)).all()
        assert moved.any(1).sum() == 3
        state, turns = after, turns + moved.any(1)
    assert (turns > 0).sum() >= 8  # after as many draws, 1.4 classes in a hundred are still to come


AVERAGING = sorted(name for name, kind in METHODS.items() if "averaged_updates" in {each.name for each in fields(kind)})


def test_the_methods_that_match_class_by_class_can_average():
    assert AVERAGING == ["atom", "dance", "datadam", "dc", "dm", "dsa", "idc", "ncfm"]


@pytest.mark.parametrize("name", AVERAGING)
@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_the_set_is_the_average_of_where_the_pixels_have_been(name: str, optimiser: str):
    given, settings = problem(precision="float64"), {"optimiser": optimiser, "learning_rate": 0.05}
    plain, averaging = made(name, **settings), made(name, averaged_updates=3, **settings)
    state, averaged, expected = plain.prepare(given), averaging.prepare(given), torch.zeros(())
    for iteration in range(6):
        state, _ = plain.step(given, state, iteration)
        averaged, _ = averaging.step(given, averaged, iteration)
        assert averaged["images"].equal(state["images"])  # the pixels move as without
        images = state["images"].cpu().double()
        before = min(iteration, 2)  # the plain mean of the first three, then two thirds of the mean before
        expected = (before * expected + images) / (before + 1)
        torch.testing.assert_close(averaging.result(given, averaged).images.double(), expected, rtol=1e-6, atol=1e-6)
    assert not plain.result(given, state).images.equal(averaging.result(given, averaged).images)


def test_an_average_is_in_the_checkpoint_from_the_beginning(tmp_path: Path):
    given, method = problem(), made("dm", averaged_updates=3)
    state = method.prepare(given)
    for iteration in range(2):
        Checkpoint(state=state).save(tmp_path / "state.safetensors")
        state = Checkpoint.load(tmp_path / "state.safetensors").state
        state, _ = method.step(given, state, iteration)
    straight = method.prepare(given)
    for iteration in range(2):
        straight, _ = method.step(given, straight, iteration)
    assert method.result(given, state).images.equal(method.result(given, straight).images)


@pytest.mark.parametrize("name", ["dance", "ncfm"])
def test_an_average_stays_between_black_and_white(name: str):
    given, method = problem(), made(name, averaged_updates=2, learning_rate=5.0, clamp=True, calibration=1.0)
    state = method.prepare(given)
    for iteration in range(3):
        state, _ = method.step(given, state, iteration)
        images = method.result(given, state).images
        assert images.equal(given.real.clamped(images))
    assert not method.result(given, state).images.equal(state["images"].cpu())


@pytest.mark.parametrize("name", ["datadam", "dsa"])
def test_all_classes_of_a_step_are_the_default(name: str):
    plain, asked = (made(name, classes_per_step=count) for count in (0, 10))
    (first, _), (second, _) = (method.step(given := problem(), method.prepare(given), 0) for method in (plain, asked))
    assert first["images"].equal(second["images"])


@pytest.mark.parametrize("name", ["datadam", "dc", "dm"])
def test_real_images_of_some_classes_at_a_time_make_the_same_step(name: str, monkeypatch: pytest.MonkeyPatch):
    given, method = problem(ipc=2, precision="float64"), made(name)
    indices = torch.arange(40).reshape(10, 4)
    whole, loss = method.step(given, method.prepare(given), 0)
    assert [group for group, _ in given.real_batches(indices)] == [slice(0, 10)]
    monkeypatch.setattr("potstill.methods.problem.VALUES_AT_ONCE", 3 * 4 * 64)
    groups = list(given.real_batches(indices))
    assert [group for group, _ in groups] == [slice(0, 3), slice(3, 6), slice(6, 9), slice(9, 10)]
    assert torch.cat([images for _, images in groups]).equal(given.real.normalised(indices.flatten()).double())
    assert len(list(given.real_batches(indices, together=True))) == 1
    assert len(list(given.real_batches(indices, kept_per_class=10**6))) == 10
    apart, loss_apart = method.step(given, method.prepare(given), 0)
    torch.testing.assert_close(apart["images"], whole["images"], rtol=1e-12, atol=1e-14)
    assert float(loss_apart) == pytest.approx(float(loss), rel=1e-12)


def test_real_images_of_some_classes_at_a_time_are_less_to_plan_for():
    given, method = problem(), made("dm", batch_real=500)
    before = method.planned_bytes(given)
    with memory_limit(4_000_000):
        assert method.planned_bytes(given) < before
    assert made("dm", batch_real=1000).planned_bytes(given) > before
    assert METHODS["mtt"]().planned_bytes(given) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", MATCHING)
def test_a_step_is_that_of_the_pictures_led_back(name: str):
    method = made(name)
    stored = problem(ipc=1, formation=2, precision="float64")
    stored = replace(stored, start=method.start(stored))
    doubled = replace(stored.start, images=stored.start.images.double())
    pictures = replace(stored, start=doubled.decoded(), _tools={})
    states = []
    for given in (stored, pictures):
        before = method.prepare(given)
        if "labels" in before:  # the same logits for all pictures of an image
            before["labels"] = torch.zeros_like(before["labels"])
        after, loss = method.step(given, before, 0)
        states.append((after["images"] - before["images"], loss))
    (moved, loss), (moved_pictures, loss_of_pictures) = states
    assert float(loss) == pytest.approx(float(loss_of_pictures), rel=1e-12)
    assert moved.abs().max() > 0
    torch.testing.assert_close(moved, pulled_back(moved_pictures, 2), rtol=1e-9, atol=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("name", MATCHING)
def test_adam_moves_pixels_as_adam_does(name: str):
    given = problem(ipc=1, precision="float64")
    plain, adam = made(name, learning_rate=1.0), made(name, optimiser="adam", learning_rate=0.01)
    given = replace(given, start=plain.start(given))
    before = plain.prepare(given)
    after, _ = plain.step(given, before, 0)
    gradient = before["images"] - after["images"]
    state = adam.prepare(replace(given, _tools={}))
    moved, _ = adam.step(replace(given, _tools={}), state, 0)
    expected = Adam(0.01).step(state, "images", gradient, 0)
    torch.testing.assert_close(moved["images"], expected["images"], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", MATCHING)
def test_the_default_step_size_is_the_optimisers(name: str):
    published = made(name, learning_rate=None).resolved(1, "mnist")
    adam = made(name, learning_rate=None, optimiser="adam").resolved(1, "mnist")
    assert adam.learning_rate == 0.05
    if name != "idc":  # its step depends on the dataset and the images per class
        assert published.learning_rate == getattr(type(published), "published_learning_rate", published.learning_rate)
    assert published.learning_rate != 0.05
    assert made(name, learning_rate=0.3, optimiser="adam").resolved(1).learning_rate == 0.3
