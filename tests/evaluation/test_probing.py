"""Networks that are tested on changed images: trained like all others, and tested on what was asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from potstill.data.poisoned import with_patch
from potstill.evaluation.probing import TrainAndProbe, changed, curves
from potstill.evaluation.recipes import Recipe
from potstill.evaluation.specs import training_on
from potstill.evaluation.training import RANDOM, TrainAndTest
from potstill.runtime.compute import CPU
from potstill.runtime.streams import Streams
from potstill.schema.attacks import ATTACKS, CORRUPTIONS, SEVERITIES, Probe
from potstill.units import Materials, Workplace
from potstill.units.unit import described, unit_from
from tests.small import NETWORK, small_digits

RECIPE = Recipe(name="test", summary="a few epochs", epochs=20, full_epochs=3, learning_rate=0.05)
CLEAN = Probe(kind="clean")


@pytest.fixture(scope="module")
def workplace() -> Workplace:
    return Workplace(Materials(), CPU)


@pytest.fixture(scope="module")
def training(workplace: Workplace) -> TrainAndTest:
    base = training_on(small_digits(), workplace, RECIPE, seed=0)
    return replace(base, images=RANDOM, images_per_class=5, network=NETWORK)


def probed(training: TrainAndTest, *probes: Probe, tested: int = 1000) -> TrainAndProbe:
    return training.asking(TrainAndProbe, probes=probes, tested=tested)


def test_clean_images_are_recognised_as_in_an_ordinary_test(training: TrainAndTest, workplace: Workplace):
    plain, found = training.run(workplace), probed(training, CLEAN).run(workplace)
    assert found.accuracies == plain.accuracies
    assert found.answers == [[sum(column) for column in zip(*plain.confusion, strict=True)]]


def test_attacks_lower_the_accuracy_with_their_strength(training: TrainAndTest, workplace: Workplace):
    probes = [CLEAN, *(Probe(kind="pgd", strength=strength, steps=5) for strength in (0.1, 0.3, 1.0))]
    accuracies = probed(training, *probes).run(workplace).accuracies
    assert accuracies == sorted(accuracies, reverse=True)
    assert accuracies[0] > 0.4
    assert accuracies[-1] < 0.05


def test_a_class_may_be_left_out_and_fewer_images_tested(training: TrainAndTest, workplace: Workplace):
    test = small_digits().test
    without = probed(training, Probe(kind="clean", without=3)).run(workplace)
    assert sum(without.answers[0]) == len(test) - test.class_sizes[3]
    assert sum(probed(training, CLEAN, tested=7).run(workplace).answers[0]) == 7


def test_the_same_seed_gives_the_same_answers_also_from_the_description(training: TrainAndTest, workplace: Workplace):
    unit = probed(training, Probe(kind="pgd", strength=0.1, steps=2), Probe(kind="shot noise", strength=4.0), tested=50)
    first, again = unit.run(workplace), unit_from(described(unit)).run(workplace)
    assert (first.accuracies, first.answers) == (again.accuracies, again.answers)


def test_a_training_that_fails_says_why(training: TrainAndTest, workplace: Workplace):
    diverging = replace(training, recipe=replace(RECIPE, learning_rate=1e12))
    unit = probed(diverging, CLEAN)
    found = unit.run(workplace)
    assert "diverged" in (found.failed or "")
    assert not unit.is_final(found)


def test_a_patch_is_white_and_one_pixel_from_the_corner():
    images = torch.zeros(2, 3, 6, 6)
    patched = with_patch(images, 2, 1.0)
    assert patched[:, :, 3:5, 3:5].eq(1).all()
    assert patched.sum() == 2 * 3 * 4
    assert not images.any()
    assert changed(images, Probe(kind="patch", strength=2.0), Streams(0)).equal(patched)


def test_curves_begin_with_clean_images_and_end_with_a_check():
    probes = curves((0.1, 0.3), steps=4)
    assert probes[0] == CLEAN
    assert probes[-1] == Probe(kind="pgd", strength=1.0, steps=8)
    assert {probe.kind for probe in probes} == {"clean", *ATTACKS, *CORRUPTIONS}
    assert [(each.strength, each.steps) for each in probes if each.kind == "cw"] == [(0.1, 4), (0.3, 4)]
    assert all(each.steps == 0 for each in probes if each.kind == "fgsm")
    assert all([each.strength for each in probes if each.kind == kind] == [*SEVERITIES] for kind in CORRUPTIONS)
