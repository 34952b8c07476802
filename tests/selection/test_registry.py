"""Selections: what each chooses, within each class, and what it refuses."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor

from potstill.data import LabeledImages
from potstill.engine.schedule import Schedule
from potstill.experts.difficulty import NeverLearned, forgetting_events
from potstill.experts.feature_source import FeatureSource, Pixels
from potstill.methods import METHODS, Start
from potstill.methods.coresets import Forgetting
from potstill.runtime.errors import UserError
from potstill.runtime.streams import Streams
from potstill.selection import SELECTIONS, Choice, random
from potstill.selection.registry import finite
from tests.experts.sources import training
from tests.small import digits, few


@pytest.mark.parametrize(
    "name",
    [name for name, selection in SELECTIONS.items() if isinstance(selection, Choice) and name != "optimised-random"],
)
def test_different_images_of_each_class_whatever_their_numbers(name: str):
    real = few(digits().train, (12, 40, 13))
    source = SELECTIONS[name].source(training(real))
    for count in (1, 3, 12):
        check_choice(chosen(name, source, [count] * 3), real, [count] * 3)
    check_choice(chosen(name, source, [5, 40, 0]), real, [5, 40, 0])


def chosen(name: str, source: FeatureSource, counts: list[int]) -> Tensor:
    selection = SELECTIONS[name]
    assert isinstance(selection, Choice)
    return selection.choose(source, counts, Streams(0))


def check_choice(indices: Tensor, real: LabeledImages, counts: list[int]) -> None:
    assert indices.dtype == torch.int64
    assert len(indices.unique()) == sum(counts)
    assert real.labels[indices].tolist() == [label for label, count in enumerate(counts) for _ in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("name", SELECTIONS)
def test_images_are_balanced_and_the_same_each_time(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(random, "SCHEDULE", Schedule(epochs=2))
    selection, training_on = SELECTIONS[name], training(few(digits().train, (30, 40, 35)))
    made = [selection.images(selection.source(training_on), 2, Streams(0)) for _ in range(2)]
    assert made[0].shape == (6, 1, 8, 8)
    assert made[0].dtype == torch.float32
    assert made[0].equal(made[1])


@pytest.mark.parametrize("name", [name for name in SELECTIONS if name not in ("average", "optimised-random")])
def test_more_images_than_a_class_has_are_refused(name: str):
    with pytest.raises(UserError, match=r"has 3 training images, fewer than 4 per class; use `ipc=3` or less$"):
        SELECTIONS[name].images(Pixels(few(digits().train, (4, 3, 4))), 4, Streams(0))


class Forgetful(Pixels):
    """A source by which a network forgot the third image of each class once, and never learned the second."""

    def forgetting(self, never_learned: NeverLearned = "hardest") -> Tensor:
        right = torch.ones(3, len(self.real)).bool()
        for members in self.real.class_index:
            right[:, members[1]] = False
            right[1, members[2]] = False
        return forgetting_events(right, never_learned)


@pytest.mark.parametrize(("never_learned", "expected"), [("hardest", [1, 2]), ("easiest", [2, 0])])
def test_forgetting_takes_what_was_never_learned_first_or_last(never_learned: NeverLearned, expected: list[int]):
    real = few(digits().train, (4, 4))
    chosen = Forgetting(never_learned=never_learned).selection().images(Forgetful(real), 2, Streams(0))
    assert chosen.equal(real.normalised(torch.cat([members[expected] for members in real.class_index])))


def test_every_selection_is_a_method_and_a_start():
    assert SELECTIONS.keys() <= METHODS.keys()
    assert set(get_args(Start)) == {"real", "noise", *SELECTIONS} - {"random"}
    assert all(METHODS[name]().default_iterations(1) == 0 for name in SELECTIONS)


@pytest.mark.parametrize(
    "name", ["random", "herding", "k-center", "k-means", "k-means-nearest", "average", "average-nearest"]
)
def test_what_looks_at_pixels_needs_no_network(name: str):
    assert len(SELECTIONS[name].images(Pixels(few(digits().train, (4, 3))), 2, Streams(0))) == 4


def test_those_that_look_at_pixels_unless_asked_otherwise():
    made = {name for name, s in SELECTIONS.items() if isinstance(s.source(training(digits().train)), Pixels)}
    assert made == {"random", "k-means", "average"}


def test_the_average_is_made_however_few_images_a_class_has():
    assert len(SELECTIONS["average"].images(Pixels(few(digits().train, (4, 1))), 3, Streams(0))) == 6


@pytest.mark.parametrize("shape", [(4, 3), (4,)])
def test_features_that_are_not_finite_are_refused(shape: tuple[int, ...]):
    values = torch.zeros(shape)
    images = torch.tensor([5, 6, 7, 8])
    assert finite(values, images) is values
    values[2] = torch.nan
    values[3] = torch.inf
    with pytest.raises(UserError, match=r"image 7 has features that are not finite \(2 in all\)"):
        finite(values, images)
