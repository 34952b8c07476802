"""Choices that cover the difficulty, beside the algorithm as its paper writes it; the median distance; margins."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from potstill.experts.difficulty import area_under_margin
from potstill.selection.coverage import STRATA, moderate, stratified


def draws() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def numbers_by_the_paper(difficulty: Tensor, count: int, cut: float) -> list[int]:
    """Algorithm 1: how many are drawn of each range, easiest first."""
    kept = difficulty.sort().values[: len(difficulty) - int(cut * len(difficulty))]
    edges = torch.linspace(float(kept.min()), float(kept.max()), STRATA + 1, dtype=torch.float64)
    where = (torch.bucketize(kept.double(), edges, right=True) - 1).clamp(max=STRATA - 1)
    sizes = {number: int((where == number).sum()) for number in where.unique().tolist()}
    budget, drawn = count, {}
    for number in sorted(sizes, key=lambda number: sizes[number]):
        drawn[number] = min(sizes[number], budget // (len(sizes) - len(drawn)))
        budget -= drawn[number]
    return [drawn[number] for number in sorted(drawn)]


@given(st.integers(0, 1000), st.integers(20, 300), st.sampled_from([0.0, 0.1, 0.3]))
def test_as_many_of_each_range_as_in_the_paper(seed: int, size: int, cut: float):
    difficulty = torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).exp()
    count = size // 3
    chosen = stratified(difficulty, count, draws(), cut=cut)
    assert len(chosen.unique()) == count
    kept = difficulty.sort().values[: size - int(cut * size)]
    assert (difficulty[chosen] <= kept.max()).all()
    width = (kept.max() - kept.min()) / STRATA
    where = ((difficulty[chosen] - kept.min()) / width).long().clamp(max=STRATA - 1)
    found = [int((where == number).sum()) for number in range(STRATA)]
    assert [number for number in found if number] == [n for n in numbers_by_the_paper(difficulty, count, cut) if n]


def test_the_hardest_are_left_out_unless_they_are_needed():
    difficulty = torch.arange(100.0)
    assert int(stratified(difficulty, 10, draws()).max()) < 70
    assert int(stratified(difficulty, 10, draws(), cut=0.1).max()) < 90
    assert stratified(difficulty, 100, draws()).tolist() == list(range(100))
    assert stratified(difficulty, 80, draws(), cut=0.5).tolist() == list(range(80))


def test_equal_scores_are_drawn_from_at_random():
    chosen = stratified(torch.ones(50), 20, draws(), cut=0)
    assert len(chosen.unique()) == 20
    assert chosen.tolist() != list(range(20))
    assert len(stratified(torch.ones(0), 0, draws())) == 0


def test_moderate_images_are_at_the_median_distance():
    x = torch.tensor([[0.0], [1.0], [-1.0], [2.0], [-2.0], [9.0], [-9.0]])
    assert sorted(moderate(x, 2).tolist()) == [3, 4]


def test_margins_are_averaged_over_epochs():
    labels = torch.tensor([0, 2])
    epochs = [torch.tensor([[3.0, 1.0, 2.0], [1.0, 5.0, 2.0]]), torch.tensor([[5.0, 1.0, 1.0], [0.0, 1.0, 1.0]])]
    assert area_under_margin(epochs, labels).tolist() == pytest.approx([2.5, -1.5])
