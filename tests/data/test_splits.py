"""Stratified splits."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from potstill.data import stratified_split

label_lists = st.lists(st.integers(0, 4), max_size=80)


@given(label_lists, st.floats(0, 0.99))
def test_every_class_gives_its_share(labels: list[int], fraction: float):
    kept, held = stratified_split(torch.tensor(labels, dtype=torch.int64), fraction, "validation")
    assert sorted(kept.tolist() + held.tolist()) == list(range(len(labels)))
    assert kept.tolist() == sorted(kept.tolist())
    assert held.tolist() == sorted(held.tolist())
    for label in set(labels):
        size, out = labels.count(label), [labels[i] for i in held].count(label)
        if fraction == 0 or size == 1:
            assert out == 0
        else:
            assert 1 <= out <= size - 1
            assert abs(out - fraction * size) <= 1


@given(label_lists, st.integers(0, 2**31))
def test_no_global_state_is_read_or_changed(labels: list[int], seed: int):
    tensor = torch.tensor(labels, dtype=torch.int64)
    first = stratified_split(tensor, 0.3, "validation")
    torch.manual_seed(seed)
    state = torch.get_rng_state()
    second = stratified_split(tensor, 0.3, "validation")
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first[1], second[1])


def test_the_choice_is_random_within_a_class_and_differs_between_purposes():
    labels = torch.zeros(200, dtype=torch.int64)
    validation, test = (stratified_split(labels, 0.5, purpose)[1] for purpose in ("validation", "test"))
    assert not torch.equal(validation, test)
    assert 60 < len(validation[validation < 100]) * 2 < 140
