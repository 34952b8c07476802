"""PAD's curriculum: who takes part when, in shares of each class's own size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from potstill.experts.curriculum import CURRICULUM, Curriculum
from potstill.experts.difficulty import read_difficulty
from potstill.experts.manifest import expert_file
from potstill.experts.plan import ExpertPlan
from potstill.experts.train import train_experts
from potstill.runtime.compute import CPU
from tests.small import NETWORK, digits, few, small_digits

SIZES = (10, 40, 3)


def curriculum(epochs: int = 100) -> Curriculum:
    images = few(digits().train, SIZES)
    return Curriculum(images, torch.randn(len(images), generator=torch.Generator().manual_seed(0)), epochs)


@pytest.mark.parametrize(
    ("epoch", "least", "most"),
    [(0, 0, 0.75), (10, 0, 0.875), (20, 0, 1), (39, 0, 1), (40, 0.1, 1), (59, 0.1, 1), (60, 0.2, 1), (99, 0.2, 1)],
)
def test_shares_are_the_published_ones_of_a_hundred_epochs(epoch: int, least: float, most: float):
    assert curriculum().shares(epoch) == pytest.approx((least, most))


def test_shares_keep_their_places_in_shorter_trainings():
    assert [curriculum(10).shares(epoch)[0] for epoch in range(10)] == [0, 0, 0, 0, 0.1, 0.1, 0.2, 0.2, 0.2, 0.2]


@pytest.mark.parametrize(("epoch", "sizes"), [(0, (7, 30, 2)), (20, SIZES), (40, (9, 36, 3)), (60, (8, 32, 3))])
def test_shares_are_of_each_class(epoch: int, sizes: tuple[int, ...]):
    made = curriculum()
    assert made.images.labels[made.taking_part(epoch)].bincount().tolist() == list(sizes)


@given(st.integers(1, 30), st.integers(0, 29))
def test_the_easiest_come_and_go_first(epochs: int, epoch: int):
    made = curriculum(epochs)
    chosen = made.taking_part(epoch % epochs)
    assert len(chosen.unique()) == len(chosen)
    assert (made.images.labels[chosen].bincount(minlength=3) > 0).all()
    least, most = made.shares(epoch % epochs)
    for members in made.images.class_index:
        inside = torch.isin(members, chosen)
        difficulty = made.difficulty[members]
        left_out = difficulty[~inside]
        if most < 1 and len(left_out):  # the hard ones are still out
            assert left_out.min() > difficulty[inside].max()
        if least > 0 and len(left_out):  # the easy ones are out
            assert left_out.max() < difficulty[inside].min()


def test_experts_of_a_curriculum_differ_and_keep_the_difficulty(tmp_path: Path):
    plan = ExpertPlan(network=NETWORK, count=2, epochs=3, curriculum=True)
    data = small_digits()
    heard: list[str] = []
    train_experts(plan, data, tmp_path / "curriculum", CPU, progress=heard.append)
    assert heard[0] == "training a network for 10 epochs to score the difficulty of images"
    train_experts(ExpertPlan(network=NETWORK, count=2, epochs=3), data, tmp_path / "plain", CPU)
    scores = read_difficulty(tmp_path / "curriculum" / CURRICULUM, 200)
    assert scores["el2n"].shape == (200,)
    contents = [expert_file(tmp_path / name, 0).read_bytes() for name in ("curriculum", "plain")]
    assert contents[0] != contents[1]
    first = (tmp_path / "curriculum" / CURRICULUM).read_bytes()
    train_experts(replace(plan, count=3), data, tmp_path / "curriculum", CPU, resume=True)
    assert (tmp_path / "curriculum" / CURRICULUM).read_bytes() == first
